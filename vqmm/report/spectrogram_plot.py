"""Spectrograms with their axes, side by side on one scale."""

from __future__ import annotations

from collections.abc import Mapping

import librosa
import matplotlib
import numpy as np

from vqmm.config import Config
from vqmm.report.media import png_uri
from vqmm.report.theme import WIDTH, plot

SCALE = "magma"
RANGE_DB = 60.0  # below the loudest cell everything is drawn black
TICKS = (100, 200, 500, 1000, 2000, 5000, 10_000)


def spectrogram_uri(log_mel: np.ndarray) -> str:
    """Bare PNG of a log10 mel power f32[frames, mels, 1], low bands at the bottom."""
    return png_uri(coloured(log_mel))


def coloured(log_mel: np.ndarray) -> np.ndarray:
    """u8[mels, frames, 3] of a log10 mel power f32[frames, mels, 1], low bands at the bottom."""
    levels = _scaled(log_mel, 10 * float(log_mel.max()))
    return np.ascontiguousarray(matplotlib.colormaps[SCALE](levels.T[::-1], bytes=True)[..., :3])


def spectrogram_plot(log_mels: Mapping[str, np.ndarray], config: Config) -> str:
    """Data URI: panels by title, log10 mel power f32[frames, mels, 1] each, on the first one's scale."""
    spec, rate = config.model.log_mel, config.data.audio.sample_rate
    top = rate / 2 if spec.fmax is None else spec.fmax
    edges = librosa.hz_to_mel([spec.fmin, top], htk=True)
    ticks = [hz for hz in TICKS if spec.fmin <= hz <= top]
    loudest = 10 * float(next(iter(log_mels.values())).max())
    with plot(WIDTH, 2.3) as page:
        panels = page.figure.subplots(1, len(log_mels), sharey=True, squeeze=False)[0]
        for axes, (title, log_mel) in zip(panels, log_mels.items(), strict=True):
            seconds = len(log_mel) * spec.hop_length / rate
            drawn = axes.imshow(
                np.maximum(10 * log_mel[..., 0].T - loudest, -RANGE_DB),
                origin="lower",
                aspect="auto",
                cmap=SCALE,
                vmin=-RANGE_DB,
                vmax=0,
                extent=(0, seconds, edges[0], edges[1]),
                interpolation="nearest",
            )
            axes.set(title=title, xlabel="time, s")
            axes.grid(visible=False)
        panels[0].set_yticks(librosa.hz_to_mel(ticks, htk=True), [f"{hz:,}" for hz in ticks])
        panels[0].set_ylabel("frequency, Hz (mel scale)")
        page.figure.colorbar(drawn, ax=panels, label="power, dB", pad=0.01)
    return page.uri


def _scaled(log_mel: np.ndarray, loudest: float) -> np.ndarray:
    return np.clip((10 * log_mel[..., 0] - loudest) / RANGE_DB + 1, 0, 1)
