"""Zero-shot transfer: a classifier that has seen one modality's codes reads the other's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vqmm.metrics.bootstrap import Figure, bootstrap_figure
from vqmm.metrics.scorers import bag_of_codes

if TYPE_CHECKING:
    import scipy.sparse


class Transfer(NamedTuple):
    """Accuracy of a linear classifier of codes.

    Attributes:
        across: tested on the modality that it has not seen.
        within: tested on the modality it was trained on, the upper bound.
    """

    across: Figure
    within: Figure


class Labelled(NamedTuple):
    """Items to classify.

    Attributes:
        features: f64[n, F], sparse: `one_hot_slots` of slots, `bag_of_codes` of grids.
        labels: i[n].
    """

    features: scipy.sparse.csr_matrix
    labels: np.ndarray


def one_hot_slots(codes: np.ndarray, size: int) -> scipy.sparse.csr_matrix:
    """Codes i[n, T] below `size` as one block of `size` columns per slot, sparse f64[n, T * size]."""

    slots = codes.shape[1]
    return bag_of_codes(codes + np.arange(slots) * size, slots * size)


def code_transfer(
    train: Labelled, within: Labelled, across: Labelled, resamples: int = 1000, seed: int = 0
) -> Transfer:
    """Trains on one modality's codes and tests on held-out codes of both.

    Args:
        train, within: of one modality.
        across: of the other.
        resamples, seed: of the bootstrap over test items.

    Returns:
        `Transfer`; chance is the accuracy of always giving the commonest label of
        the training items.

    Raises:
        ValueError: when the training items have fewer than two labels.
    """
    from sklearn.linear_model import LogisticRegression

    names, counts = np.unique(train.labels, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"{len(names)} label in training: a classifier needs at least two")
    model = LogisticRegression(C=1.0, max_iter=300, tol=1e-3).fit(train.features, train.labels)
    commonest = names[counts.argmax()]

    def accuracy(test: Labelled) -> Figure:
        right = model.predict(test.features) == test.labels
        return bootstrap_figure(right, "mean", resamples, seed, float((test.labels == commonest).mean()))

    return Transfer(accuracy(across), accuracy(within))
