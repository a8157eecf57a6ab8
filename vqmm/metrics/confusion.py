"""Which label comes out on top for which label."""

from __future__ import annotations

import numpy as np

from vqmm.metrics.ranking import TIE
from vqmm.metrics.scorers import Scorer

BLOCK = 256


def top1_confusion(scorer: Scorer, asked: np.ndarray, answers: np.ndarray, labels: int) -> np.ndarray:
    """Label of the first item found, by label of the query.

    Items that tie for the first place share it.

    Args:
        scorer: from a slice of queries to scores f[queries, gallery].
        asked: i[n], label of each query.
        answers: i[m], label of each item of the gallery.
        labels: how many labels there are.

    Returns:
        f64[labels, labels], rows (labels asked for) sum to 1, or to 0 where no query
        has the label.
    """
    one_hot = np.eye(labels)[answers]
    total = np.zeros((labels, labels))
    for start in range(0, len(asked), BLOCK):
        block = slice(start, start + BLOCK)
        scores = np.round(scorer(block).astype("float64"), TIE)
        first = scores == scores.max(axis=1, keepdims=True)
        shares = first @ one_hot / first.sum(axis=1, keepdims=True)
        np.add.at(total, asked[block], shares)
    return total / np.maximum(total.sum(axis=1, keepdims=True), 1e-300)
