"""Codes of a query and of its best hit, lit on a map of the codebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import patheffects
from matplotlib.lines import Line2D

from vqmm.report.theme import COLOURS, INK, plot

FAINT, EDGE = "#ccd3dd", "#9aa3b0"
SMALLEST, LARGEST = 12.0, 190.0  # areas of a point, in points squared
SIZE = 6.6, 5.0  # inches


class Lit(NamedTuple):
    """An item whose codes light up.

    Attributes:
        name: in the legend.
        modality: gives the colour.
        codes: i[slots], rows of the map.
    """

    name: str
    modality: str
    codes: Sequence[int]


def code_map_plot(
    points: np.ndarray, usage: np.ndarray, query: Lit | None = None, hit: Lit | None = None
) -> str:
    """Data URI: a point for each code, its area by use; discs for a query's codes, rings for a hit's.

    A ring around a disc is a code that both have; the slots that have it stand beside it.

    Args:
        points: f[K, 2].
        usage: i[K].
        query: None lights none.
        hit: the same.
    """
    with plot(*SIZE) as page:
        axes = page.figure.subplots()
        used = usage > 0
        areas = SMALLEST + (LARGEST - SMALLEST) * usage / max(usage.max(initial=0), 1)
        axes.scatter(*points[used].T, s=areas[used], color=FAINT, edgecolor="white", lw=0.6, zorder=2)
        axes.scatter(*points[~used].T, s=SMALLEST, facecolor="none", edgecolor=EDGE, lw=0.7, zorder=2)
        handles = [_handle("code; area: its use in the index", FAINT)]
        if query is not None:
            at = np.unique(query.codes)
            axes.scatter(
                *points[at].T, s=120, color=COLOURS[query.modality], edgecolor="white", lw=0.8, zorder=4
            )
            handles.append(_handle(query.name, COLOURS[query.modality]))
        if hit is not None:
            at = np.unique(hit.codes)
            ring = COLOURS[hit.modality]
            axes.scatter(*points[at].T, s=260, facecolor="none", edgecolor=ring, lw=2.2, zorder=3)
            handles.append(_handle(hit.name, "none", ring))
        for code, slots in _slots_at(query, hit).items():
            _label(axes, points[code], slots)
        axes.set(xlabel="first principal component", ylabel="second principal component")
        axes.margins(0.09)
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        axes.grid(visible=False)
        page.figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=9, handletextpad=0.3)
    return page.uri


def _slots_at(query: Lit | None, hit: Lit | None) -> dict[int, list[str]]:
    """By code, the slots that have it in either; a slot of the hit alone stands in brackets."""
    found: dict[int, list[str]] = {}
    for slot, code in enumerate([] if query is None else query.codes, start=1):
        found.setdefault(int(code), []).append(str(slot))
    for slot, code in enumerate([] if hit is None else hit.codes, start=1):
        if str(slot) not in found.setdefault(int(code), []):
            found[int(code)].append(f"({slot})")
    return found


def _label(axes: Any, point: np.ndarray, slots: list[str]) -> None:
    text = axes.annotate(
        " ".join(slots), point, (8, 7), textcoords="offset points", fontsize=8.5, color=INK, zorder=6
    )
    text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])


def _handle(name: str, fill: str, edge: str | None = None) -> Line2D:
    return Line2D(
        [],
        [],
        marker="o",
        markersize=8,
        linestyle="none",
        markerfacecolor=fill,
        markeredgecolor=edge or fill,
        markeredgewidth=2,
        label=name,
    )
