"""A recording at a glance: its spectrogram above its waveform."""

from __future__ import annotations

import numpy as np

from vqmm.report.media import png_uri
from vqmm.report.spectrogram_plot import coloured

ZOOM = 4  # pixels a cell of the spectrogram
HEIGHT = 36  # of the waveform, pixels
INK, PAPER = (181, 72, 15), (245, 247, 250)


def sound_picture_uri(log_mel: np.ndarray, sound: np.ndarray) -> str:
    """Data URI of a bare PNG, both over the same time.

    Args:
        log_mel: log10 mel power f32[frames, mels, 1].
        sound: f32[samples]; drawn relative to its loudest sample.
    """
    above = coloured(log_mel).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    return png_uri(np.concatenate([above, waveform(sound, above.shape[1])]))


def waveform(sound: np.ndarray, width: int) -> np.ndarray:
    """u8[HEIGHT, width, 3]: a column is inked from the least to the greatest of its samples."""
    parts = np.array_split(sound / max(float(np.abs(sound).max()), 1e-9), width)
    ends = np.array([(part.min(), part.max()) if len(part) else (0.0, 0.0) for part in parts])
    low, high = np.rint((1.0 - ends[:, ::-1].T) / 2 * (HEIGHT - 1))
    rows = np.arange(HEIGHT)[:, None]
    inked = (rows >= low) & (rows <= high)
    return np.where(inked[..., None], np.array(INK), np.array(PAPER)).astype("uint8")
