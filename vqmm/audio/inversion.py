"""From a log-mel spectrogram back to something that can be heard."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

LOUDEST = 6.0  # log10 of mel power; a model's wild output must not overflow
SPREADING = 200  # rounds of least squares
TINY = 1e-12


def log_mel_to_audio(
    log_mel: npt.ArrayLike,
    sample_rate: int,
    n_fft: int,
    hop_length: int,
    fmin: float = 0.0,
    fmax: float | None = None,
    *,
    rounds: int = 32,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Finds a waveform whose `LogMel` is about the given one.

    Mel power is spread over the transform's bins by non-negative least squares, in
    multiplicative updates (Lee and Seung 2001, theorem 1: librosa's solver can take half
    a minute for two seconds of 64 bands); then the phase is guessed by fast Griffin-Lim
    (Perraudin et al. 2013).

    Args:
        log_mel: f32[frames, mels] (or [frames, mels, 1]), log10 of mel power.
        sample_rate: Hz. This and the four below as in the `LogMel` that made it.
        n_fft: samples.
        hop_length: samples.
        fmin: Hz.
        fmax: Hz; None for half the sample rate.
        rounds: of Griffin-Lim.
        seed: of the first guess; the same seed gives the same waveform.

    Returns:
        f32[frames * hop_length], -1..1, finite.

    Raises:
        ValueError: not one spectrogram.
    """
    import librosa
    from librosa.filters import mel as mel_bands

    grid = np.asarray(log_mel, np.float32)
    grid = grid[..., 0] if grid.ndim == 3 and grid.shape[2] == 1 else grid
    if grid.ndim != 2 or not len(grid):
        raise ValueError(f"log_mel has shape {np.shape(log_mel)}; one [frames, mels] at a time")
    # `LogMel` leaves out the last of the centred frames; its neighbour stands in for it.
    power = 10.0 ** np.minimum(np.pad(grid, ((0, 1), (0, 0)), mode="edge"), LOUDEST)
    # The matrices are so small that BLAS threads only get in each other's way.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "empty filters": bands narrower than a bin
        bands = mel_bands(
            sr=sample_rate, n_fft=n_fft, n_mels=grid.shape[1], fmin=fmin, fmax=fmax, htk=True, norm=None
        )
        magnitude = np.sqrt(_spread(bands.astype(np.float64), power.T.astype(np.float64)))
    # librosa 1.0 renamed `random_state` to `rng`; a RandomState draws the same numbers in both.
    seed_name = "rng" if "rng" in inspect.signature(librosa.griffinlim).parameters else "random_state"
    audio = librosa.griffinlim(
        magnitude,
        n_iter=rounds,
        hop_length=hop_length,
        n_fft=n_fft,
        length=len(grid) * hop_length,
        pad_mode="constant",
        **{seed_name: np.random.RandomState(seed)},
    )
    return np.clip(np.nan_to_num(audio), -1.0, 1.0).astype(np.float32)


def _spread(bands: npt.NDArray[np.float64], power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bins x >= 0, f64[bins, frames], with bands @ x about power, f64[mels, frames]."""
    wanted = bands.T @ power
    bins = wanted / (bands.sum(axis=1) @ bands + TINY)[:, None]  # each band's power on all of its bins
    for _ in range(SPREADING):
        bins *= wanted / (bands.T @ (bands @ bins) + TINY)
    return bins
