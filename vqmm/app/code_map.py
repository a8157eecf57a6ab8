"""The shared codebook as a map: its codes in two dimensions, and how often an index uses each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class CodeMap(NamedTuple):
    """Codes of the shared range as points.

    Attributes:
        points: f64[K, 2], along the two directions in which the codes differ most.
        share: of the codes' variance that these two directions hold, 0 to 1.
        usage: i64[K], slots of items that have each code.
    """

    points: npt.NDArray[np.float64]
    share: float
    usage: npt.NDArray[np.int64]


def code_map(codebook: npt.NDArray[np.float32], usage: npt.NDArray[np.int64]) -> CodeMap:
    """Projects a codebook by principal components.

    Args:
        codebook: f32[K, dim], as an index holds it: of unit length where the score is a cosine.
        usage: i64[K].

    Returns:
        The map. A codebook without two directions, such as one of a single code, gets zeros in their place.
    """
    from sklearn.decomposition import PCA

    table = np.asarray(codebook, np.float64)
    points, share = np.zeros((len(table), 2)), 1.0
    held = min(2, len(table), table.shape[1])
    if table.var(axis=0).sum() > 0:
        fitted = PCA(held, svd_solver="full").fit(table)
        points[:, :held] = fitted.transform(table)
        share = float(fitted.explained_variance_ratio_.sum())
    return CodeMap(points, share, usage)
