"""Curves of training: a small panel for every figure in the log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vqmm.report.theme import MUTED, NEUTRAL, WIDTH, plot

FIRST = ("loss", "retrieval_map", "pair_agreement", "reconstruction_image", "reconstruction_audio")
NOT_CURVES = ("step", "seconds", "split")
COLUMNS = 4


def curves_plot(log: Sequence[Mapping[str, Any]]) -> str:
    """Data URI; empty where the log has no figures.

    Args:
        log: lines of `metrics.jsonl`.
    """
    names = [name for line in log for name, value in line.items() if isinstance(value, int | float)]
    names = [name for name in dict.fromkeys(names) if name not in NOT_CURVES]
    names.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    if not names:
        return ""
    rows = math.ceil(len(names) / COLUMNS)
    with plot(WIDTH, 1.75 * rows + 0.3) as page:
        panels = page.figure.subplots(rows, min(COLUMNS, len(names)), squeeze=False, sharex=True).ravel()
        for axes, name in zip(panels, names, strict=False):
            for split, style in (
                ("train", {"color": MUTED, "lw": 1.1, "label": "training batches"}),
                ("validation", {"color": NEUTRAL, "marker": "o", "ms": 3, "label": "validation"}),
            ):
                points = [
                    (line["step"], line[name]) for line in log if line["split"] == split and name in line
                ]
                if points:
                    axes.plot(*zip(*points, strict=True), **style)
            axes.set_title(name.replace("_", " "))
            axes.tick_params(labelbottom=True)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        page.figure.supxlabel("step", fontsize=9)
        handles = {
            label: h for axes in panels for h, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        page.figure.legend(list(handles.values()), list(handles), loc="outside upper right", ncols=2)
    return page.uri
