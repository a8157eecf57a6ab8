"""Scorers: how alike a query and an item of the gallery are, block by block.

A scorer is a function from a slice of queries to scores f32[queries, gallery]. No
array of queries x gallery x anything is ever made.

Slots correspond between items, so their scores are means over slots of per-slot
figures. Grid tokens do not correspond: pool them with `pooled`, or count them with
`bag_of_codes`, and score the results as items of one slot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse

Scorer = Callable[[slice], np.ndarray]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scales vectors f[..., D] to unit length; zero stays zero. f32."""
    vectors = np.asarray(vectors, "float32")
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def pooled(vectors: np.ndarray) -> np.ndarray:
    """Mean of unit token vectors f[n, T, D], as one unit vector per item: f32[n, 1, D]."""
    return unit(unit(vectors).mean(axis=1, keepdims=True))


def cosine_scorer(queries: np.ndarray, gallery: np.ndarray) -> Scorer:
    """Mean over slots of the cosine between vectors f[n, T, D] and f[m, T, D]."""
    _check_slots(queries, gallery)
    slots = queries.shape[1]
    left = unit(queries).reshape(len(queries), -1)
    right = unit(gallery).reshape(len(gallery), -1).T
    return lambda block: left[block] @ right / np.float32(slots)


class Fine(NamedTuple):
    """Fine codes of a gallery.

    Attributes:
        codes: i[m, T], rows of each slot's table.
        tables: f[T, R, D], added to the vectors of the shared codes.
    """

    codes: np.ndarray
    tables: np.ndarray


def code_scorer(
    queries: np.ndarray, codes: np.ndarray, table: np.ndarray, fine: Fine | None = None
) -> Scorer:
    """Mean over slots of the cosine between a query's vector and the gallery's code vector.

    With the query's own code vectors this is the distance between codes (symmetric,
    `code_distance`), with its continuous vectors the `asymmetric` one. Items with
    equal codes get exactly equal scores.

    Args:
        queries: f[n, T, D].
        codes: i[m, T] of the gallery, rows of `table`.
        table: f[K, D], or f[T, K, D] where each slot has its own.
        fine: of the gallery; then a slot's score is the inner product of the query's unit vector
            with the sum of the code's unit vector and the fine code's vector.
    """
    _check_slots(queries, codes)
    left = unit(queries)
    tables = np.broadcast_to(unit(table), (codes.shape[1], *table.shape[-2:]))

    def score(block: slice) -> np.ndarray:
        total = np.zeros((len(left[block]), len(codes)), "float32")
        for slot, rows in enumerate(tables):
            total += (left[block, slot] @ rows.T)[:, codes[:, slot]]
            if fine is not None:
                total += (left[block, slot] @ fine.tables[slot].T)[:, fine.codes[:, slot]]
        return total / np.float32(len(tables))

    return score


def exact_scorer(queries: np.ndarray, gallery: np.ndarray) -> Scorer:
    """Number of slots with equal codes, for codes i[n, T] and i[m, T]."""
    _check_slots(queries, gallery)

    def score(block: slice) -> np.ndarray:
        total = np.zeros((len(queries[block]), len(gallery)), "float32")
        for slot in range(gallery.shape[1]):
            total += queries[block, slot, None] == gallery[None, :, slot]
        return total

    return score


def bag_of_codes_scorer(queries: np.ndarray, gallery: np.ndarray, size: int) -> Scorer:
    """Cosine of tf-idf weighted code counts, for codes i[n, T] and i[m, S] below `size`.

    The inverse document frequency ln((m + 1) / (df + 1)) + 1 is the gallery's.
    """
    import scipy.sparse

    left, right = (bag_of_codes(codes, size) for codes in (queries, gallery))
    frequency = np.asarray((right > 0).sum(axis=0)).ravel()
    weights = scipy.sparse.diags(np.log((len(gallery) + 1) / (frequency + 1)) + 1)
    left, right = (_unit_rows(bag @ weights) for bag in (left, right))
    return lambda block: np.asarray((left[block] @ right.T).todense(), "float32")


def bag_of_codes(codes: np.ndarray, size: int) -> scipy.sparse.csr_matrix:
    """Counts f64[n, size] of the codes i[n, T] of each item, sparse."""
    import scipy.sparse

    n, tokens = codes.shape
    rows = np.repeat(np.arange(n), tokens)
    ones = np.ones(n * tokens)
    return scipy.sparse.csr_matrix((ones, (rows, codes.ravel())), shape=(n, size))


def _unit_rows(matrix: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    import scipy.sparse

    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return (scipy.sparse.diags(1.0 / np.maximum(length, 1e-12)) @ matrix).tocsr()


def _check_slots(queries: np.ndarray, gallery: np.ndarray) -> None:
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"{queries.shape[1]} slots against {gallery.shape[1]}: slots must correspond; pool tokens"
        )
