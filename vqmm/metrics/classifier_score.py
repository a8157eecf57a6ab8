"""Inception-style score with a classifier that the user names."""

from __future__ import annotations

import numpy as np

from vqmm.metrics.bootstrap import Figure
from vqmm.metrics.interval_items import for_classes, too_few


def classifier_score(probabilities: np.ndarray, resamples: int = 200, seed: int = 0) -> Figure:
    """exp of the mean KL divergence of an item's class probabilities from those of all items.

    Salimans et al. 2016, section 4, with whatever classifier the probabilities come from: 1
    where it cannot tell the items apart, the number of classes where it is sure of each item
    and every class comes up as often.

    Args:
        probabilities: f[n, classes], rows sum to 1.
        resamples, seed: of the interval, which is moved so that the mean of the resamples
            falls on the value, and cut at the bounds. There is none of no more items than classes.

    Raises:
        ValueError: for rows that do not sum to 1.
    """
    p = np.asarray(probabilities, "float64")
    if p.ndim != 2 or not len(p) or not np.allclose(p.sum(axis=1), 1.0, atol=1e-3):
        raise ValueError(f"probabilities of shape {p.shape}: give [items, classes] whose rows sum to 1")
    value = _score(p)
    note = too_few(len(p), for_classes(p.shape[1]))
    if note:
        return Figure(value, None, len(p), note=note)
    rng = np.random.default_rng(seed)
    drawn = np.array([_score(p[rng.integers(len(p), size=len(p))]) for _ in range(resamples)])
    low, high = np.percentile(drawn, [2.5, 97.5]) + value - drawn.mean()
    most = max(float(p.shape[1]), value)  # which rounding may leave a little above the classes
    return Figure(value, (float(max(min(low, value), 1.0)), float(min(max(high, value), most))), len(p))


def _score(p: np.ndarray) -> float:
    logs = np.log(np.maximum(p, 1e-12))
    whole = np.log(np.maximum(p.mean(axis=0), 1e-12))
    return float(np.exp((p * (logs - whole)).sum(axis=1).mean()))
