"""Finds vectors that are the same but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

TOLERANCE = 1e-5  # of the longest vector: nearer vectors count as one


def distinct_groups(vectors: Any, most: int | None = None) -> npt.NDArray[np.int64]:
    """Numbers the groups of vectors that are the same but for rounding.

    Args:
        vectors: f32[n, D].
        most: groups that matter. Where there are many times more, vectors that rounding alone sets
            apart may keep groups of their own: to compare all would take long. None compares all.

    Returns:
        i64[n], the number of each vector's group, from 0.
    """
    from sklearn.cluster import DBSCAN

    vectors = np.asarray(vectors, "float64")
    if not len(vectors):
        return np.zeros(0, np.int64)
    largest = np.linalg.norm(vectors, axis=1).max() or 1.0
    rounded = np.round(vectors / (largest * TOLERANCE)).astype(np.int64)
    _, first, group = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)  # its shape differs between versions of NumPy
    if most is not None and len(first) > 8 * most:
        return group.astype(np.int64)
    # Neighbours on two sides of a rounding step meet again here.
    merged = DBSCAN(eps=largest * TOLERANCE, min_samples=1).fit_predict(vectors[first])
    return merged[group].astype(np.int64)
