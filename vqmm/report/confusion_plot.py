"""Heat maps: label of the query by label of the first item found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqmm.report.theme import HEAT, INK, WIDTH, plot

WRITTEN = 12  # up to so many labels, cells carry numbers


def confusion_plot(audio_to_image: np.ndarray, image_to_audio: np.ndarray, labels: Sequence[str]) -> str:
    """Data URI of the two maps.

    Args:
        audio_to_image, image_to_audio: f[L, L], rows sum to 1 (or 0).
        labels: L names.
    """
    count = len(labels)
    height = 4.6 if count <= WRITTEN else 5.6
    with plot(WIDTH, height) as page:
        panels = page.figure.subplots(1, 2)
        for axes, matrix, title, asked, found in (
            (panels[0], audio_to_image, "Recording → picture", "said", "first picture shows"),
            (panels[1], image_to_audio, "Picture → recording", "shown", "first recording says"),
        ):
            drawn = axes.imshow(100 * matrix, cmap=HEAT, vmin=0, vmax=100)
            axes.set(title=title, ylabel=asked, xlabel=found)
            size = 9 if count <= WRITTEN else 6
            names = [name if len(name) <= 14 else f"{name[:13]}…" for name in labels]
            axes.set_xticks(
                range(count), names, rotation=0 if max(map(len, names)) <= 2 else 90, fontsize=size
            )
            axes.set_yticks(range(count), names, fontsize=size)
            axes.grid(visible=False)
            if count <= WRITTEN:
                for row, column in np.argwhere(matrix >= 0.005):
                    value = 100 * matrix[row, column]
                    colour = "white" if value > 55 else INK
                    axes.text(
                        column, row, f"{value:.0f}", ha="center", va="center", fontsize=7.5, color=colour
                    )
        page.figure.colorbar(drawn, ax=panels, label="share of queries, %", shrink=0.8, pad=0.02)
    return page.uri
