"""The plots of the comparison: what configs reach and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vqmm.evaluation.comparison import Spread
from vqmm.report.theme import AUDIO, IMAGE, MUTED, WIDTH, plot

QUALITY = {
    "audio to image": ("code distance, audio to image", AUDIO),
    "image to audio": ("code distance, image to audio", IMAGE),
}
COSTS = {  # figures and how their panels are titled
    "shared bits an item": "shared bits an item",
    "training seconds": "training seconds",
    "peak memory": "peak memory, MiB",
}


class Shown(NamedTuple):
    """A plot and what it says to those who do not see it."""

    uri: str
    alt: str


def quality_plot(rows: Sequence[Mapping[str, Any]], seeds: int) -> Shown | None:
    """mAP by code distance of every config, both ways; None where no config has any.

    Lines are the range over seeds; of one seed, the 95 % interval.
    """
    found = {
        (row["what"], label): _quality(row, name)
        for row in rows
        for label, (name, _) in QUALITY.items()
        if _quality(row, name)[0] is not None
    }
    if not found:
        return None
    with plot(WIDTH, 0.9 + 0.42 * len(rows)) as page:
        axes = page.figure.subplots()
        for offset, (label, (_, colour)) in zip((-0.16, 0.16), QUALITY.items(), strict=True):
            for place, row in enumerate(rows):
                spread, codes = found.get((row["what"], label), (None, True))
                if spread is not None:
                    axes.plot(
                        _across(spread, row.get("finished", seeds)),
                        [place + offset] * 2,
                        color=colour,
                        lw=2.5,
                        alpha=0.45,
                    )
                    face = colour if codes else "white"
                    axes.plot(spread.mean, place + offset, "o", color=colour, mfc=face, ms=5)
            axes.plot([], [], "o", color=colour, ms=5, label=label)
        axes.set_yticks(range(len(rows)), [row["what"] for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)  # the first on top
        lines = "lines: 95 % intervals" if seeds == 1 else "lines: range over seeds"
        if seeds > 1 and any(row.get("finished") == 1 for row in rows):
            lines += ", of one seed alone its 95 % interval"
        axes.set_xlabel(f"mAP by code distance (hollow: continuous latents, no codes; {lines}), test split")
        axes.legend(loc="lower left", ncols=2, bbox_to_anchor=(0, 1.0))
    told = "; ".join(
        f"{what} {label} {spread.mean:.3f}" for (what, label), (spread, _) in found.items() if spread
    )
    return Shown(page.uri, f"Mean average precision by code distance of every config, both ways: {told}.")


def costs_plot(rows: Sequence[Mapping[str, Any]]) -> Shown | None:
    """What every config costs, with the range over seeds; None where nobody knows."""
    known = {cost: title for cost, title in COSTS.items() if any(cost in row["figures"] for row in rows)}
    if not known:
        return None
    with plot(WIDTH, 0.7 + 0.26 * len(rows)) as page:
        panels = page.figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
        for axes, (cost, title) in zip(panels, known.items(), strict=True):
            for place, row in enumerate(rows):
                spread = row["figures"].get(cost)
                if spread is not None:
                    axes.plot([spread.low, spread.high], [place] * 2, color=MUTED, lw=2.5, alpha=0.45)
                    axes.plot(spread.mean, place, "o", color=MUTED, ms=5)
            axes.set_title(title)
            axes.set_xlim(0, 1.05 * axes.get_xlim()[1])  # else the greatest point is cut in half
        panels[0].set_yticks(range(len(rows)), [row["what"] for row in rows])
        panels[0].set_ylim(len(rows) - 0.4, -0.6)  # the first on top
    titles = "; ".join(known.values())
    return Shown(
        page.uri, f"A point for every config in each of these: {titles}. The numbers are in the table below."
    )


def _quality(row: Mapping[str, Any], name: str) -> tuple[Spread | None, bool]:
    """The figure and whether it is of codes; a model without codes is judged by its continuous latents."""
    found = row["figures"].get(name)
    if found is not None:
        return found, True
    return row["figures"].get(name.replace("code distance", "continuous")), False


def _across(spread: Spread, seeds: int) -> tuple[float, float]:
    """The ends of the line through a point."""
    alone = spread.ci95[0] if seeds == 1 and spread.ci95 else None
    return alone or (spread.low, spread.high)
