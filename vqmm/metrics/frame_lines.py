"""Does the frame rate of a synthesiser sound through?"""

from __future__ import annotations

import numpy as np

LINES = 10  # bins of the spectrum from one multiple of the frame rate to the next
LOW = 0.125  # of the sample rate; below, a voice's own harmonics stand too far out
TINY = 1e-12


def frame_lines(audio: np.ndarray, hop_length: int) -> np.ndarray:
    """Power at multiples of the frame rate over that half-way between them, dB per clip, f64[n].

    Above 0, sound made frame by frame buzzes at its frame rate whatever the pitch; speech and noise
    are near 0, and so is silence.

    Args:
        audio: f32[n, samples], at least ten hops long.
        hop_length: samples between frames.

    Raises:
        ValueError: for clips that are too short.
    """
    size = LINES * hop_length
    audio = np.asarray(audio, "float64")
    if audio.ndim != 2 or audio.shape[1] < size:
        raise ValueError(f"audio of shape {audio.shape}: clips of {size} samples or more are needed")
    frames = np.lib.stride_tricks.sliding_window_view(audio, size, axis=1)[:, :: size // 8]
    window = np.hanning(size + 1)[:-1]
    power = np.square(np.abs(np.fft.rfft(frames * window))).mean(axis=1)
    first = int(np.ceil(LOW * hop_length))
    on = power[:, first * LINES :: LINES]
    between = power[:, first * LINES + LINES // 2 :: LINES]
    return 10.0 * np.log10((on.mean(axis=1) + TINY) / (between.mean(axis=1) + TINY))
