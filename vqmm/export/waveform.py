"""From a log-mel spectrogram to a waveform inside a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from vqmm.audio import LogMel
from vqmm.audio.inversion import LOUDEST, TINY

SPREADING = 60  # rounds of least squares
ROUNDS = 32  # of Griffin-Lim
MOMENTUM = 0.99  # of Perraudin et al. 2013


def inverter(layer: LogMel) -> Callable[[Any], Any]:
    """Makes the function from log-mel f32[B, frames, mels, 1] to audio f32[B, frames * hop_length].

    As `vqmm.audio.inversion.log_mel_to_audio`: power is spread over bins by multiplicative
    updates, the phase is found by fast Griffin-Lim. It starts from zero phases, so that the
    same codes always give the same sound.
    """
    bands, window = layer.bands, layer.window
    reach = bands.sum(axis=0) @ bands.T + TINY
    n_fft, hop = layer.n_fft, layer.hop_length
    half = n_fft // 2

    def invert(log_mel: Any) -> Any:
        # As in NumPy's version, the last frame stands in for the one that `LogMel` leaves out.
        log_mel = tf.concat([log_mel, log_mel[:, -1:]], axis=1)[..., 0]
        frames = log_mel.shape[1]
        length = (frames - 1) * hop
        magnitude = tf.sqrt(spread(10.0 ** tf.minimum(log_mel, LOUDEST)))
        coverage = np.zeros(length + n_fft, np.float32)
        for place in range(0, length + 1, hop):
            coverage[place : place + n_fft] += window**2
        norm = np.maximum(coverage[half : half + length], 1e-8)

        def sound(phases: Any) -> Any:
            framed = tf.signal.irfft(tf.cast(magnitude, tf.complex64) * phases, [n_fft]) * window
            return tf.signal.overlap_and_add(framed, hop)[:, half : half + length] / norm

        def turn(phases: Any, before: Any) -> tuple[Any, Any]:
            padded = tf.pad(sound(phases), [[0, 0], [half, half]])
            now = tf.signal.rfft(tf.signal.frame(padded, n_fft, hop) * window)
            moved = now - MOMENTUM / (1 + MOMENTUM) * before
            return moved / tf.cast(tf.abs(moved) + TINY, tf.complex64), now

        none = tf.zeros_like(tf.cast(magnitude, tf.complex64))
        start = (tf.ones_like(none), none)
        phases, _ = tf.while_loop(lambda *_: True, turn, start, maximum_iterations=ROUNDS)
        return tf.clip_by_value(sound(phases), -1.0, 1.0)

    def spread(power: Any) -> Any:
        wanted = power @ bands.T

        def turn(bins: Any) -> tuple[Any]:
            return (bins * wanted / ((bins @ bands) @ bands.T + TINY),)

        (bins,) = tf.while_loop(lambda _: True, turn, (wanted / reach,), maximum_iterations=SPREADING)
        return bins

    return invert
