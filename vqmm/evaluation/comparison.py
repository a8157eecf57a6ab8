"""Several configs beside each other: the figures that a user chooses by, over seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.evaluation.cases import CASES, Cases, Features, Values, paired_difference, paired_frechet
from vqmm.evaluation.compared_figures import FIGURES
from vqmm.metrics import Figure
from vqmm.training.metrics_log import read_metrics

Interval = tuple[float, float] | None


class Spread(NamedTuple):
    """One figure over seeds.

    Attributes:
        mean, low, high: over the seeds that have it.
        values: one a seed; NaN where a seed lacks it.
        ci95: the 95 % interval of each seed's value, over items; None where it has none.
        notes: why a seed's value has no interval, where its items are too few; else "".
    """

    mean: float
    low: float
    high: float
    values: tuple[float, ...]
    ci95: tuple[Interval, ...] = ()
    notes: tuple[str, ...] = ()


class Compared(NamedTuple):
    """How one config differs from another.

    Attributes:
        figures: by their names in `FIGURES`: how much more it has of each, with the interval.
        left_out: by name, why a figure that both keep cases of is not among them.
    """

    figures: dict[str, Figure]
    left_out: dict[str, str]


def run_figures(folder: Path, quality: float) -> dict[str, Figure]:
    """The figures of one trained and evaluated run, with their intervals.

    Args:
        folder: the run folder.
        quality: mean average precision on validation pairs whose first time is told.

    Returns:
        Figures by their names in `FIGURES` (those that the run has), among them `seconds to
        quality` (infinite where it was not reached) and, where the folder has `peak.json`, `peak
        memory`.
    """
    tree = json.loads((folder / "evaluation.json").read_text())
    found = {
        name: figure
        for name, measured in FIGURES.items()
        if measured.path and (figure := _figure(tree, measured.path)) is not None
    }
    reached = [
        line["seconds"]
        for line in read_metrics(folder / "metrics.jsonl")
        if line["split"] == "validation" and line.get("retrieval_map", 0.0) >= quality
    ]
    found["seconds to quality"] = Figure(float(min(reached, default=math.inf)), None, 1)
    if (folder / "peak.json").exists():
        peak = json.loads((folder / "peak.json").read_text())["mebibytes"]
        found["peak memory"] = Figure(float(peak), None, 1)
    return found


def differences(ours: Sequence[Path], theirs: Sequence[Path], resamples: int = 1000) -> Compared:
    """How much more one config has of each figure than another, over the same cases.

    See `paired_difference` and, for Fréchet distances of what was rebuilt, `paired_frechet`. Left out
    is what cannot be compared: distances in features of different networks (`Cases.why_apart`), and
    figures without items in common.

    Args:
        ours, theirs: run folders, one a seed, the seeds in the same order.
        resamples: of the intervals.
    """
    held = [[Cases.load(folder / CASES) for folder in folders] for folders in (ours, theirs)]
    found = Compared({}, {})
    for folder, cases in zip((*ours, *theirs), (*held[0], *held[1]), strict=True):
        if not cases:
            found.left_out["all figures"] = f"{folder} keeps no values of single items; evaluate it again"
            return found
    for name, (path, _) in FIGURES.items():
        if all(path in cases for side in held for cases in side):
            reasons = [mine.why_apart(other, path) for mine, other in zip(*held, strict=True)]
            reason = next(filter(None, reasons), "")
            mine, other = ([cases[path] for cases in side] for side in held)
            difference = None if reason else _difference(mine, other, resamples)
            if difference is None:
                found.left_out[name] = reason or "they were judged on different items"
            else:
                found.figures[name] = difference
    return found


def _difference(mine: Sequence[Any], other: Sequence[Any], resamples: int) -> Figure | None:
    kinds = {type(cases) for cases in (*mine, *other)}
    if kinds == {Values}:
        return paired_difference(mine, other, resamples)
    return paired_frechet(mine, other) if kinds == {Features} else None


def spreads(runs: Sequence[Mapping[str, Figure]]) -> dict[str, Spread]:
    """Mean and range of every figure over the seeds of one config, in the order of `FIGURES`."""
    table = {}
    for name in (name for name in FIGURES if any(name in run for run in runs)):
        figures = [run.get(name) for run in runs]
        known = [figure.value for figure in figures if figure is not None]
        table[name] = Spread(
            sum(known) / len(known),
            min(known),
            max(known),
            tuple(math.nan if figure is None else figure.value for figure in figures),
            tuple(None if figure is None else figure.ci95 for figure in figures),
            tuple("" if figure is None else figure.note for figure in figures),
        )
    return table


def _figure(tree: Any, path: str) -> Figure | None:
    for part in path.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return None
        tree = tree[part]
    if not isinstance(tree, Mapping):
        return Figure(float(tree), None, 1)
    interval = tree.get("ci95")
    ends = tuple(interval) if interval else None
    return Figure(float(tree["value"]), ends, int(tree.get("n", 1)), note=str(tree.get("note", "")))
