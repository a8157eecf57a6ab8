"""Figures with 95 % bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from vqmm.metrics.interval_items import FOR_MEAN, too_few

CHUNK = 2_000_000  # drawn values held at once


class Figure(NamedTuple):
    """A measured value and how far it can be trusted.

    Attributes:
        value: the figure itself.
        ci95: lower and upper end of its 95 % interval; None where nothing was sampled, or of too few items.
        n: how many cases stand behind it.
        chance: what a random answer would score; None where there is no such thing.
        note: why there is no interval, where items are too few; else "".
    """

    value: float
    ci95: tuple[float, float] | None
    n: int
    chance: float | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The layout of `evaluation.json`; `chance` and `note` are left out where there is none."""
        tree: dict[str, Any] = {
            "value": self.value,
            "ci95": None if self.ci95 is None else list(self.ci95),
            "n": self.n,
        }
        if self.chance is not None:
            tree["chance"] = self.chance
        return {**tree, "note": self.note} if self.note else tree


def bootstrap_figure(
    values: np.ndarray,
    statistic: str = "mean",
    resamples: int = 1000,
    seed: int = 0,
    chance: float | None = None,
) -> Figure:
    """Mean or median of per-case values with its percentile bootstrap interval.

    Cases are drawn with replacement, as if they were independent; what they are judged against (the
    gallery of a retrieval, say) stays as it is. Of fewer than `FOR_MEAN` cases there is no interval.

    Args:
        values: f[n], one per case, n >= 1.
        statistic: `"mean"` or `"median"`.
        resamples: how many times the cases are drawn anew.
        seed: of the draws.
        chance: passed on.

    Raises:
        ValueError: for no values, values that are not finite, or another statistic.
    """
    values = np.asarray(values, "float64")
    if values.ndim != 1 or not values.size:
        raise ValueError(f"values of shape {values.shape}: give a list of one or more numbers")
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(bad.argmax())
        raise ValueError(
            f"{bad.sum()} of {values.size} values are not finite, the first ({values[first]}) at {first}: "
            "leave them out or bound them"
        )
    if statistic not in ("mean", "median"):
        raise ValueError(f"statistic={statistic!r}; legal: mean, median")
    summary = np.mean if statistic == "mean" else np.median
    n = values.size
    note = too_few(n, FOR_MEAN)
    if note:
        return Figure(float(summary(values)), None, n, chance, note)
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // n)
    drawn = [
        summary(values[rng.integers(n, size=(min(rows, resamples - done), n))], axis=1)
        for done in range(0, resamples, rows)
    ]
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5])
    return Figure(float(summary(values)), (float(low), float(high)), n, chance)


def histogram_figures(
    histograms: np.ndarray,
    statistics: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    bounds: Mapping[str, tuple[float, float]],
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Figure]:
    """Statistics of summed per-item histograms with centred bootstrap intervals.

    Entropies and usage of a resample lie below those of the sample, since some
    items are missing from it; an interval is therefore moved so that the mean of
    the resamples falls on the value, and cut at the statistic's bounds. Of fewer than
    `FOR_MEAN` items there is no interval.

    Args:
        histograms: f[n, K], one row per item (may be several histograms side by side).
        statistics: by name, f[..., K] sums to f[...].
        bounds: by name, values that the statistic cannot leave.
        resamples: how many times the items are drawn anew.
        seed: of the draws.

    Raises:
        ValueError: for no items.
    """
    histograms = np.asarray(histograms, "float64")
    n = len(histograms)
    if histograms.ndim != 2 or not n:
        raise ValueError(f"histograms of shape {histograms.shape}: give [items, codes], at least one item")
    values = {name: float(statistic(histograms.sum(0))) for name, statistic in statistics.items()}
    note = too_few(n, FOR_MEAN)
    if note:
        return {name: Figure(value, None, n, note=note) for name, value in values.items()}
    rng = np.random.default_rng(seed)
    even = np.full(n, 1.0 / n)
    rows = max(1, CHUNK // n)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    for done in range(0, resamples, rows):
        sums = rng.multinomial(n, even, size=min(rows, resamples - done)).astype("float64") @ histograms
        for name, statistic in statistics.items():
            drawn[name].append(statistic(sums))
    figures = {}
    for name, value in values.items():
        resampled = np.concatenate(drawn[name])
        low, high = np.percentile(resampled, [2.5, 97.5]) + value - resampled.mean()
        low, high = np.clip([min(low, value), max(high, value)], *bounds[name])
        figures[name] = Figure(value, (float(low), float(high)), n)
    return figures
