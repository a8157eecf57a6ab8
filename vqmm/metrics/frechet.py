"""Fréchet distance between two sets of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vqmm.metrics.bootstrap import Figure
from vqmm.metrics.interval_items import for_covariance, too_few

RESAMPLES = 50  # each costs an eigenvalue decomposition


class Rebuilt(NamedTuple):
    """Features of items and of what was made of each: `real` and `fake`, f[n, F]."""

    real: np.ndarray
    fake: np.ndarray


def frechet_distance(real: np.ndarray, fake: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> Figure:
    """Squared Fréchet distance of the Gaussians fitted to two sets of features.

    |m - n|^2 + tr(S + T - 2 (S T)^(1/2)), Dowson and Landau 1982; Heusel et al. 2017 on
    Inception features call it FID. It is biased upwards for few items, by about the same
    for sets of the same size and features, so compare like with like and with the distance
    between two halves of the real items.

    Args:
        real, fake: f[n, F] and f[m, F], n and m at least 2.
        resamples: of the items of `fake`, for the interval; it is moved so that the mean of
            the resamples falls on the value, since a resample lies farther off. There is none where
            either set has no more items than features.
        seed: of the draws.

    Raises:
        ValueError: for other shapes or values that are not finite.
    """
    real, fake = checked_features(real, fake)
    mean, root = real.mean(axis=0), _root(np.cov(real, rowvar=False))
    value = _distance(mean, root, fake)
    note = too_few(min(len(real), len(fake)), for_covariance(real.shape[1])) if resamples else ""
    if note or not resamples:
        return Figure(value, None, len(fake), note=note)
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [_distance(mean, root, fake[rng.integers(len(fake), size=len(fake))]) for _ in range(resamples)]
    )
    low, high = np.percentile(drawn, [2.5, 97.5]) + value - drawn.mean()
    return Figure(value, (max(float(min(low, value)), 0.0), float(max(high, value))), len(fake))


def frechet_difference(
    ours: Sequence[Rebuilt], theirs: Sequence[Rebuilt], resamples: int = 4 * RESAMPLES, seed: int = 0
) -> Figure:
    """How much farther from the real items is what one model made of them than what another did?

    The same items are drawn anew for both, so that what makes both distances large or small falls
    out: the interval is that of the difference, far narrower than those of the distances.

    Args:
        ours, theirs: one a seed, as many of each, all of the same items in the same order.
        resamples: of the items; the interval is moved so that their mean falls on the value. There is
            none of no more items than features.
        seed: of the draws.

    Returns:
        Mean over seeds of our `frechet_distance` less theirs.

    Raises:
        ValueError: as `frechet_distance`, or for other items.
    """
    sides = [[Rebuilt(*checked_features(*one)) for one in side] for side in (ours, theirs)]
    counts = {len(part) for side in sides for one in side for part in one}
    if len(counts) != 1 or len(sides[0]) != len(sides[1]):
        raise ValueError(
            f"sets of {sorted(counts)} items for {len(ours)} and {len(theirs)} seeds: give the same"
        )
    (count,) = counts

    def apart(rows: np.ndarray | slice) -> float:
        mine, other = ([_between(one.real[rows], one.fake[rows]) for one in side] for side in sides)
        return float(np.mean(mine) - np.mean(other))

    rng = np.random.default_rng(seed)
    value = apart(slice(None))
    note = too_few(count, for_covariance(max(one.real.shape[1] for side in sides for one in side)))
    if note:
        return Figure(value, None, count, note=note)
    drawn = np.array([apart(rng.integers(count, size=count)) for _ in range(resamples)])
    low, high = np.percentile(drawn, [2.5, 97.5]) + value - drawn.mean()
    return Figure(value, (float(min(low, value)), float(max(high, value))), count)


def _between(real: np.ndarray, fake: np.ndarray) -> float:
    return _distance(real.mean(axis=0), _root(np.cov(real, rowvar=False)), fake)


def _distance(mean: np.ndarray, root: np.ndarray, fake: np.ndarray) -> float:
    covariance = np.atleast_2d(np.cov(fake, rowvar=False))
    # tr (S T)^(1/2) = tr (S^(1/2) T S^(1/2))^(1/2), which is symmetric.
    inner = np.linalg.eigvalsh(root @ covariance @ root)
    traces = np.trace(root @ root) + np.trace(covariance) - 2.0 * np.sqrt(np.maximum(inner, 0.0)).sum()
    return float(max(np.square(mean - fake.mean(axis=0)).sum() + traces, 0.0))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(np.atleast_2d(covariance))
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def checked_features(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of features as f64[n, F] and f64[m, F].

    Raises:
        ValueError: for other shapes, fewer than two items or values that are not finite.
    """
    real, fake = np.asarray(real, "float64"), np.asarray(fake, "float64")
    wrong = real.ndim != 2 or fake.ndim != 2 or real.shape[1:] != fake.shape[1:]
    if wrong or min(len(real), len(fake)) < 2:
        raise ValueError(
            f"features of shapes {real.shape} and {fake.shape}: give [items, F], 2 items or more"
        )
    for name, side in (("real", real), ("fake", fake)):
        bad = ~np.isfinite(side).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{name} features of {bad.sum()} of {len(side)} items are not finite, the first of item "
                f"{bad.argmax()}: look at what was made of it"
            )
    return real, fake
