"""Health of a codebook, from histograms of the codes in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vqmm.metrics.bootstrap import Figure, histogram_figures

Statistic = Callable[[np.ndarray], np.ndarray]
MIXED = 0.2  # a code is mixed if each modality supplies at least this share of its hits


class CodeFigures(NamedTuple):
    """How well a range of codes is used.

    Attributes:
        usage: share of the codes used at least once.
        perplexity: 2 to the entropy; how many codes are in even use.
        entropy_ratio: entropy over log2 of the number of codes, 0..1.
    """

    usage: Figure
    perplexity: Figure
    entropy_ratio: Figure


class SharingFigures(NamedTuple):
    """How two modalities divide a shared range of codes between them.

    Attributes:
        exclusive: share of the codes in use that one modality alone uses.
        mixed: share of the codes in use of which each modality supplies at least a
            fifth, each modality weighing the same.
        overlap: codes that both use over codes that either uses (Jaccard); it is
            1 - exclusive.
        js_divergence: Jensen-Shannon divergence of the two histograms in bits,
            0 (equal) to 1 (disjoint).
    """

    exclusive: Figure
    mixed: Figure
    overlap: Figure
    js_divergence: Figure


def item_histograms(codes: np.ndarray, size: int, start: int = 0) -> np.ndarray:
    """Counts of each item's codes.

    Args:
        codes: i[n, T], from `start` to before `start + size`.
        size: number of codes in the range.
        start: first code of the range.

    Returns:
        i64[n, size].

    Raises:
        ValueError: for a code outside the range.
    """
    local = np.asarray(codes, "int64") - start
    if local.size and (local.min() < 0 or local.max() >= size):
        raise ValueError(
            f"codes reach from {codes.min()} to {codes.max()}; the range is {start}..{start + size - 1}"
        )
    n = len(local)
    flat = local + np.arange(n)[:, None] * size
    return np.bincount(flat.ravel(), minlength=n * size).reshape(n, size)


def usage(counts: np.ndarray) -> np.ndarray:
    """Share of the codes used at least once, for counts f[..., K]."""
    return (counts > 0).mean(axis=-1)


def entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy in bits of counts f[..., K]; 0 where there are none."""
    counts = np.asarray(counts, "float64")
    p = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-300)
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=-1)


def perplexity(counts: np.ndarray) -> np.ndarray:
    """2 to the entropy of counts f[..., K], 1..K."""
    return np.exp2(entropy(counts))


def entropy_ratio(counts: np.ndarray) -> np.ndarray:
    """Entropy of counts f[..., K] over log2 K; 1 is even use (and K = 1)."""
    size = np.shape(counts)[-1]
    return entropy(counts) / np.log2(size) if size > 1 else np.ones(np.shape(counts)[:-1])


def exclusive(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share of the codes in use that only one of two modalities uses, for counts f[..., K]."""
    return ((a > 0) ^ (b > 0)).sum(axis=-1) / np.maximum(((a > 0) | (b > 0)).sum(axis=-1), 1)


def mixed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share of the codes in use of which either modality supplies at least a fifth."""
    p, q = _shares(a), _shares(b)
    both = p + q
    small = np.minimum(p, q) / np.where(both > 0, both, 1.0)
    return (small >= MIXED).sum(axis=-1) / np.maximum((both > 0).sum(axis=-1), 1)


def js_divergence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits between two histograms, counts f[..., K]."""
    p, q = _shares(a), _shares(b)
    return np.maximum(entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2, 0.0)


def code_figures(histograms: np.ndarray, resamples: int = 1000, seed: int = 0) -> CodeFigures:
    """`CodeFigures` of per-item histograms i[n, K], with intervals over items."""
    statistics = {"usage": usage, "perplexity": perplexity, "entropy_ratio": entropy_ratio}
    bounds = {"usage": (0.0, 1.0), "perplexity": (1.0, histograms.shape[1]), "entropy_ratio": (0.0, 1.0)}
    return CodeFigures(**histogram_figures(histograms, statistics, bounds, resamples, seed))


def sharing_figures(a: np.ndarray, b: np.ndarray, resamples: int = 1000, seed: int = 0) -> SharingFigures:
    """`SharingFigures` of two modalities' per-item histograms i[n, K] and i[m, K]."""
    size = a.shape[1]
    # Items of both in one list, each counting in its modality's half.
    both = np.concatenate([np.pad(a, ((0, 0), (0, size))), np.pad(b, ((0, 0), (size, 0)))])

    def of_halves(statistic: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Statistic:
        return lambda counts: statistic(counts[..., :size], counts[..., size:])

    statistics = {
        "exclusive": of_halves(exclusive),
        "mixed": of_halves(mixed),
        "overlap": of_halves(lambda p, q: 1.0 - exclusive(p, q)),
        "js_divergence": of_halves(js_divergence),
    }
    bounds = dict.fromkeys(statistics, (0.0, 1.0))
    return SharingFigures(**histogram_figures(both, statistics, bounds, resamples, seed))


def _shares(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts, "float64")
    return counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-300)
