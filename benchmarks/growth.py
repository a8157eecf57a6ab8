"""How time and memory follow the size of the work: fitted exponents, and a plot of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MEASURES = {"cpu_milliseconds": "CPU ms a step", "mebibytes": "MiB above the idle model"}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The p of values ~ sizes ** p, by least squares on logarithms; a fixed cost draws it towards 0.

    Args:
        sizes, values: positive, two at least.
    """
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def exponents(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """By axis, side and measure, of all sizes (`..._all`) and of the two largest (`..._last`).

    Args:
        rows: with `axis`, `at` (the size on it) and, by side in `sides`, the measures.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for axis in dict.fromkeys(row["axis"] for row in rows):
        for side in dict.fromkeys(side for row in rows for side in row["sides"]):
            sizes, values = _line(rows, axis, side)
            if len(sizes) < 2:
                continue
            made = found.setdefault(axis, {})[side] = {}
            for measure in MEASURES:
                curve = [value[measure] for value in values]
                made[f"{measure}_all"] = exponent(sizes, curve)
                made[f"{measure}_last"] = exponent(sizes[-2:], curve[-2:])
    return found


def growth_plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes one panel for each axis and measure, both logarithmic; PNG, SVG or PDF by the name's end."""
    from matplotlib.ticker import LogFormatter, NullLocator

    from vqmm.atomic import replacing
    from vqmm.report.theme import AUDIO, IMAGE, NEUTRAL, WIDTH, plot

    found, axes_names = exponents(rows), list(dict.fromkeys(row["axis"] for row in rows))
    with plot(WIDTH, 5.2) as page:
        panels = page.figure.subplots(len(MEASURES), len(axes_names), squeeze=False)
        for column, axis in enumerate(axes_names):
            for line, (measure, label) in enumerate(MEASURES.items()):
                axes = panels[line, column]
                for colour, side in zip((IMAGE, AUDIO, NEUTRAL), found.get(axis, {}), strict=False):
                    sizes, values = _line(rows, axis, side)
                    power = found[axis][side][f"{measure}_all"]
                    curve = [value[measure] for value in values]
                    axes.plot(sizes, curve, "o-", ms=3.5, color=colour, label=f"{side}: {power:.2f}")
                axes.set_xscale("log")
                axes.set_yscale("log")
                ticks = sorted({row["at"] for row in rows if row["axis"] == axis})
                axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
                axes.xaxis.set_minor_locator(NullLocator())
                for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                    which(LogFormatter(minor_thresholds=(2, 0.5)))  # numbers, not powers of ten
                axes.tick_params(axis="y", which="both", labelsize=8)
                axes.legend(loc="best", fontsize=8, title="exponent", title_fontsize=8)
                if not line:
                    axes.set_title(axis)
                if not column:
                    axes.set_ylabel(label)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            page.figure.savefig(part, format=path.suffix[1:], dpi=120)


def _line(
    rows: Sequence[Mapping[str, Any]], axis: str, side: str
) -> tuple[list[float], list[dict[str, float]]]:
    """Sizes in order, and what a side took there; points that failed are left out."""
    points = [(row["at"], row["sides"][side]) for row in rows if row["axis"] == axis and side in row["sides"]]
    points = sorted((p for p in points if "failed" not in p[1]), key=lambda point: point[0])
    return [at for at, _ in points], [values for _, values in points]
