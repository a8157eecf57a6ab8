"""Multi-scale mel distance between waveforms."""

from __future__ import annotations

import functools
import warnings

import numpy as np

WINDOWS = {32: 5, 64: 10, 128: 20, 256: 40, 512: 80, 1024: 160, 2048: 320}  # samples: mel bands
FLOOR = 1e-5


def multiscale_mel_distance(a: np.ndarray, b: np.ndarray, sample_rate: int) -> np.ndarray:
    """Sum over seven scales of the L1 between log10 mel magnitudes.

    Windows of 32 to 2048 samples with 5 to 320 Slaney mel bands, a quarter of a
    window apart, magnitudes floored at 1e-5 (Kumar et al. 2023, section 3.4).
    Windows longer than the clips are left out.

    Args:
        a, b: f32[n, samples], -1..1.
        sample_rate: Hz.

    Returns:
        f64[n], in log10 units of magnitude.

    Raises:
        ValueError: for shapes that differ.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"waveforms of shapes {a.shape} and {b.shape}: both are [items, samples]")
    total = np.zeros(len(a))
    for window, mels in WINDOWS.items():
        if window <= a.shape[1]:
            left, right = (_log_mel(np.asarray(x, "float32"), window, mels, sample_rate) for x in (a, b))
            total += np.abs(left - right).mean(axis=(1, 2))
    return total


def _log_mel(audio: np.ndarray, window: int, mels: int, sample_rate: int) -> np.ndarray:
    import librosa

    spectrum = np.abs(librosa.stft(audio, n_fft=window, hop_length=window // 4))
    return np.log10(np.maximum(_filters(sample_rate, window, mels) @ spectrum, FLOOR))


@functools.lru_cache(maxsize=32)
def _filters(sample_rate: int, window: int, mels: int) -> np.ndarray:
    from librosa.filters import mel as mel_filters

    with warnings.catch_warnings():
        # At low rates some narrow bands hold no bin: they read as silence in both waveforms.
        warnings.filterwarnings("ignore", "Empty filters detected", UserWarning)
        return mel_filters(sr=sample_rate, n_fft=window, n_mels=mels)
