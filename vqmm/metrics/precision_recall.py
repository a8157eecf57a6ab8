"""Quality and diversity apart: precision and recall of a set of features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vqmm.metrics.bootstrap import Figure, bootstrap_figure
from vqmm.metrics.interval_items import FOR_SET, too_few


class PrecisionRecall(NamedTuple):
    """How two sets of features cover each other.

    Attributes:
        precision: share of the fake items that lie among real ones: quality.
        recall: share of the real items that lie among fake ones: diversity.
    """

    precision: Figure
    recall: Figure


def precision_recall(
    real: np.ndarray, fake: np.ndarray, neighbours: int = 3, resamples: int = 1000, seed: int = 0
) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, equation 1).

    An item lies among others when it is in a ball around one of them that reaches to its
    `neighbours`-th nearest of its own kind. Both depend on the number of items: compare sets
    of the same size. The intervals take the balls as they are; there are none where either set has
    fewer than `FOR_SET` items.

    Args:
        real, fake: f[n, F] and f[m, F].
        neighbours: 1 or more; both sets need more items than that.
        resamples, seed: of the intervals.

    Raises:
        ValueError: for too few items.
    """
    if min(len(real), len(fake)) <= neighbours or neighbours < 1:
        raise ValueError(
            f"{len(real)} real and {len(fake)} fake items with neighbours={neighbours}: need more items"
        )
    found = [_among(a, b, neighbours).astype("float64") for a, b in ((fake, real), (real, fake))]
    note = too_few(min(len(real), len(fake)), FOR_SET)
    if note:
        return PrecisionRecall(*(Figure(float(x.mean()), None, len(x), note=note) for x in found))
    return PrecisionRecall(*(bootstrap_figure(x, resamples=resamples, seed=seed) for x in found))


def _among(items: np.ndarray, others: np.ndarray, neighbours: int) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    reach = NearestNeighbors(n_neighbors=neighbours + 1).fit(others).kneighbors(others)[0][:, -1]
    squares = np.square(items).sum(1)[:, None] + np.square(others).sum(1) - 2.0 * items @ others.T
    return (np.sqrt(np.maximum(squares, 0.0)) <= reach).any(axis=1)
