"""Log-mel spectrogram as a Keras layer: exact, batch-independent, exportable."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from vqmm.config import LogMelSpec

DEFAULTS = LogMelSpec()


@keras.saving.register_keras_serializable("vqmm")
class LogMel(keras.layers.Layer):
    """Log10 mel power spectrogram of each clip on its own.

    Agrees with ``librosa.feature.melspectrogram(htk=True, norm=None, power=2,
    center=True, pad_mode="constant")`` less its last frame. Nothing is scaled
    by the batch, so a clip's features do not depend on its neighbours. It is
    computed in float32 under every dtype policy, since power spectra overflow
    and underflow half precision. Converts to TFLite with built-in ops alone,
    where `n_fft` is no power of two with `fourier="matmul"`.

    Args:
        sample_rate: Hz.
        n_fft: length of the periodic Hann window and of the transform, samples.
        hop_length: samples between frames.
        mels: number of triangular bands, equally spaced on the HTK mel scale.
        fmin: lowest frequency, Hz.
        fmax: highest frequency, Hz; None for half the sample rate.
        floor: power below which everything looks like silence.
        fourier: `"fft"`, or `"matmul"`: two products with matrices of cosines and sines, for formats
            that have no transform or none of this length.

    Input: f32[B, samples], -1..1. Output: f32[B, samples // hop_length, mels, 1].

    Raises:
        ValueError: when a setting makes no spectrogram.
    """

    def __init__(
        self,
        sample_rate: int,
        n_fft: int = DEFAULTS.n_fft,
        hop_length: int = DEFAULTS.hop_length,
        mels: int = DEFAULTS.mels,
        fmin: float = DEFAULTS.fmin,
        fmax: float | None = DEFAULTS.fmax,
        floor: float = 1e-5,
        fourier: str = "fft",
        **kwargs: Any,
    ):
        import scipy.signal

        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=False, **{k: v for k, v in kwargs.items() if k != "trainable"})
        top = sample_rate / 2 if fmax is None else fmax
        if min(sample_rate, hop_length, mels) < 1 or n_fft < 2:
            raise ValueError(
                f"sample_rate={sample_rate}, n_fft={n_fft}, hop_length={hop_length}, mels={mels}: "
                "each must be positive, n_fft at least 2"
            )
        if not 0 <= fmin < top <= sample_rate / 2:
            raise ValueError(f"fmin={fmin}, fmax={fmax}: need 0 <= fmin < fmax <= {sample_rate / 2} Hz")
        if floor <= 0:
            raise ValueError(f"floor={floor}: need a positive power, its logarithm is taken")
        if fourier not in ("fft", "matmul"):
            raise ValueError(f"fourier={fourier!r}; legal: fft, matmul")
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.mels = mels
        self.fmin = fmin
        self.fmax = fmax
        self.floor = floor
        self.fourier = fourier
        self.window = scipy.signal.get_window("hann", n_fft, fftbins=True).astype("float32")
        self.bands = _mel_bands(sample_rate, n_fft, mels, fmin, top)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, int, int, int]:
        return (input_shape[0], input_shape[-1] // self.hop_length, self.mels, 1)

    def call(self, audio: Any) -> Any:
        real, imaginary = self._transform(self._framed(ops.cast(audio, "float32")) * self.window)
        power = ops.square(real) + ops.square(imaginary)
        mel_power = ops.matmul(power, self.bands)
        log_mel = ops.log(ops.maximum(mel_power, self.floor)) / float(np.log(10.0))
        return ops.expand_dims(log_mel, -1)

    def _framed(self, audio: Any) -> Any:
        """Overlapping frames f32[B, frames, n_fft] of clips f32[B, samples] amid zeros.

        Read in blocks that frames are made of: number by number it takes several times as long.
        """
        samples, half = audio.shape[-1], self.n_fft // 2
        block = math.gcd(self.hop_length, self.n_fft)
        blocks = -(-(samples + half + self.n_fft) // block)
        padded = ops.pad(audio, [[0, 0], [half, blocks * block - half - samples]])
        starts = np.arange(samples // self.hop_length, dtype="int32")[:, None] * (self.hop_length // block)
        places = starts + np.arange(self.n_fft // block, dtype="int32")
        framed = ops.take(ops.reshape(padded, (-1, blocks, block)), places, axis=1)
        return ops.reshape(framed, (-1, len(places), self.n_fft))

    def _transform(self, framed: Any) -> tuple[Any, Any]:
        """Real and imaginary parts f32[..., n_fft // 2 + 1] of frames f32[..., n_fft]."""
        if self.fourier == "fft":
            return ops.rfft(framed)
        turns = np.outer(np.arange(self.n_fft), np.arange(self.n_fft // 2 + 1)) % self.n_fft
        angles = turns * (2 * np.pi / self.n_fft)
        cosines, sines = np.cos(angles).astype("float32"), np.sin(angles).astype("float32")
        return ops.matmul(framed, cosines), ops.matmul(framed, -sines)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        for key in ("sample_rate", "n_fft", "hop_length", "mels", "fmin", "fmax", "floor", "fourier"):
            config[key] = getattr(self, key)
        return config


def _mel_bands(sample_rate: int, n_fft: int, mels: int, fmin: float, fmax: float) -> np.ndarray:
    """Triangles of peak 1 over the bins of the transform, f32[n_fft // 2 + 1, mels].

    Written out since librosa warns where narrow bands hold no bin, which is
    harmless here: such a band reads as silence in both.
    """
    import librosa

    low, high = librosa.hz_to_mel(np.array([fmin, fmax]), htk=True)
    edges = librosa.mel_to_hz(np.linspace(low, high, mels + 2), htk=True)
    bins = librosa.fft_frequencies(sr=sample_rate, n_fft=n_fft)
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    return np.maximum(0.0, np.minimum(rising, falling)).astype("float32")
