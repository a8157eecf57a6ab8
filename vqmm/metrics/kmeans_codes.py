"""The baseline to beat: k-means codes on frozen continuous vectors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from vqmm.metrics.scorers import unit


class KMeansCodes(NamedTuple):
    """One k-means codebook per slot, f32[T, K, D] of unit vectors."""

    tables: np.ndarray

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Codes i64[n, T] of the nearest centres (by cosine) to vectors f[n, T, D]."""
        scored = [unit(vectors[:, slot]) @ rows.T for slot, rows in enumerate(self.tables)]
        return np.stack([scores.argmax(axis=1) for scores in scored], axis=1)

    def values(self, codes: np.ndarray) -> np.ndarray:
        """Centres f32[n, T, D] of codes i[n, T]."""
        return self.tables[np.arange(codes.shape[1]), codes]


def fit_kmeans_codes(vectors: np.ndarray, size: int, seed: int = 0) -> KMeansCodes:
    """Fits k-means slot by slot.

    Args:
        vectors: f[n, T, D], training embeddings of both modalities.
        size: centres per slot; no more are made than there are distinct vectors.
        seed: of the start.
    """
    from sklearn.cluster import KMeans

    vectors = unit(vectors)
    distinct = min(len(np.unique(vectors[:, slot].round(6), axis=0)) for slot in range(vectors.shape[1]))
    size = min(size, distinct)
    # Small problems: threads would wait for each other most of the time.
    with threadpool_limits(limits=1):
        centres = [
            KMeans(size, n_init=1, max_iter=50, random_state=seed).fit(vectors[:, slot]).cluster_centers_
            for slot in range(vectors.shape[1])
        ]
    return KMeansCodes(unit(np.stack(centres)))
