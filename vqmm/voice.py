"""Log-mel into sound: by Griffin-Lim, or by a vocoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vqmm.audio import log_mel_to_audio
from vqmm.config import Config

Sound = npt.NDArray[np.float32]
Voice = Callable[[Sound], Sound]
BATCH = 64


def griffin_lim(config: Config) -> Voice:
    """A voice that needs no training, see `vqmm.audio.log_mel_to_audio`.

    Args:
        config: of the run whose log-mel it is.

    Returns:
        Function from log-mel f32[n, frames, mels, 1] to sound f32[n, frames * hop_length], -1..1.
    """
    spec, rate = config.model.log_mel, config.data.audio.sample_rate
    settings = (rate, spec.n_fft, spec.hop_length, spec.fmin, spec.fmax)

    def voice(log_mel: Sound) -> Sound:
        return np.stack([log_mel_to_audio(item, *settings) for item in log_mel])

    return voice


def neural(vocoder: Any) -> Voice:
    """The voice of a `vqmm.models.Vocoder`; as `griffin_lim`."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True, autograph=False)
    def speak(log_mel: Any) -> Any:
        return vocoder(log_mel, training=False)

    def voice(log_mel: Sound) -> Sound:
        parts = [
            speak(tf.constant(log_mel[start : start + BATCH])).numpy()
            for start in range(0, len(log_mel), BATCH)
        ]
        return np.clip(np.concatenate(parts), -1.0, 1.0).astype(np.float32)

    return voice
