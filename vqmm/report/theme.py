"""One look for all plots of the report."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (after the backend is chosen)

from vqmm.report.media import data_uri  # noqa: E402

INK, MUTED, RULE = "#1c2330", "#5b6472", "#d9dee6"
AUDIO, IMAGE, NEUTRAL = "#b5480f", "#1f5fa8", "#6a5a94"  # told apart in grey and by the colour-blind
COLOURS = {"audio": AUDIO, "image": IMAGE}
HEAT = "Purples"
WIDTH = 10.4  # inches; the page is 1040 pixels wide

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa3b0",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "vqmm",  # the same page for the same figures
}


class Plot:
    """A figure on its way into the page.

    Attributes:
        figure: to draw on.
        uri: the finished SVG as a data URI, once the block has ended.
    """

    def __init__(self, figure: Any):
        self.figure = figure
        self.uri = ""


@contextmanager
def plot(width: float, height: float) -> Iterator[Plot]:
    """Opens an empty figure in the report's style; turns it into SVG at the end of the block.

    Args:
        width, height: inches; a page is `WIDTH` wide.
    """
    with pyplot.rc_context(STYLE):
        page = Plot(pyplot.figure(figsize=(width, height), layout="constrained"))
        try:
            yield page
            buffer = io.BytesIO()
            page.figure.savefig(buffer, format="svg", transparent=True, dpi=192, metadata={"Date": None})
            page.uri = data_uri(buffer.getvalue(), "image/svg+xml")
        finally:
            pyplot.close(page.figure)
