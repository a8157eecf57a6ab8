"""Do the two sides of a pair get the same codes, and how much do they tell of each other?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vqmm.metrics.bootstrap import Figure, bootstrap_figure
from vqmm.metrics.codes import entropy


class Information(NamedTuple):
    """What one side's codes tell about the other's, in bits.

    Attributes:
        per_slot: mean over slots of the mutual information of a slot's two codes,
            Miller-Madow corrected: the plain estimate is too high by about
            (codes - 1)^2 / (2 n ln 2) bits when n is small.
        plain_per_slot: the same without the correction.
        best_slot: the largest corrected figure of any slot.
    """

    per_slot: float
    plain_per_slot: float
    best_slot: float


def pair_agreement(a: np.ndarray, b: np.ndarray, resamples: int = 1000, seed: int = 0) -> Figure:
    """Share of slots in which the two sides of a pair have equal codes.

    Its chance is the exact expectation when the same codes are paired at random.

    Args:
        a, b: i[n, T], row by row the codes of a pair.
        resamples, seed: of the bootstrap over pairs.
    """
    equal = (a == b).mean(axis=1)
    size = int(max(a.max(), b.max())) + 1
    chance = [
        np.bincount(p, minlength=size) @ np.bincount(q, minlength=size) / len(p) ** 2
        for p, q in zip(a.T, b.T, strict=True)
    ]
    return bootstrap_figure(equal, "mean", resamples, seed, float(np.mean(chance)))


def bag_agreement(a: np.ndarray, b: np.ndarray, resamples: int = 1000, seed: int = 0) -> Figure:
    """Share of codes that the two sides of a pair have in common, wherever they stand.

    For tokens without correspondence: the overlap of the two histograms, each
    summing to 1. Its chance is the mean over ten random pairings of the same items.

    Args:
        a, b: i[n, K], row by row the code counts of a pair.
        resamples, seed: of the bootstrap over pairs and of the random pairings.
    """
    p, q = (x / x.sum(axis=1, keepdims=True) for x in (a, b))
    rng = np.random.default_rng(seed)
    chance = np.mean([np.minimum(p, q[rng.permutation(len(q))]).sum(axis=1).mean() for _ in range(10)])
    return bootstrap_figure(np.minimum(p, q).sum(axis=1), "mean", resamples, seed, float(chance))


def pair_information(a: np.ndarray, b: np.ndarray) -> Information:
    """Mutual information in bits between the two sides' codes i[n, T], slot by slot."""
    found = [mutual_information(p, q) for p, q in zip(a.T, b.T, strict=True)]
    corrected, plain = (np.array([pair[key] for pair in found]) for key in (1, 0))
    return Information(float(corrected.mean()), float(plain.mean()), float(corrected.max()))


def mutual_information(p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Mutual information in bits of two columns i[n]: (plain, Miller-Madow corrected, at least 0)."""
    n = len(p)
    _, joint = np.unique(np.stack([p, q], axis=1), axis=0, return_counts=True)
    left, right = (np.unique(x, return_counts=True)[1] for x in (p, q))
    plain = float(entropy(left) + entropy(right) - entropy(joint))
    excess = (len(left) - 1 + len(right) - 1 - (len(joint) - 1)) / (2 * n * np.log(2))
    return max(plain, 0.0), max(plain + excess, 0.0)


def label_entropy(labels: np.ndarray) -> float:
    """Entropy in bits of labels i[n]: pairs drawn by label cannot share more than this."""
    return float(entropy(np.unique(labels, return_counts=True)[1]))
