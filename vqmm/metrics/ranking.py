"""Per-query ranking figures; ties count by their expectation over random order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

TIE = 6  # decimals; scores that agree to this many are tied


class QueryFigures(NamedTuple):
    """One value per query, each the expectation over random order within ties.

    Attributes:
        map: f64[n], average precision.
        r1, r5, r10: f64[n], probability that a relevant item is among the first 1, 5, 10.
        median_rank: f64[n], rank of the first relevant item, from 1 (its median over
            queries is the figure).
    """

    map: np.ndarray
    r1: np.ndarray
    r5: np.ndarray
    r10: np.ndarray
    median_rank: np.ndarray


def rank_queries(scores: np.ndarray, relevant: np.ndarray) -> QueryFigures:
    """Judges the ranking of a gallery by score, highest first.

    Within a run of n tied items of which r are relevant, after N items of which R
    were relevant, the item at place i is relevant with probability r/n and has, if
    so, R + (i-1)(r-1)/(n-1) relevant items before it; this gives the expected
    average precision without drawing an order. The first k hold none of the
    relevant with probability C(n-r, k-N) / C(n, k-N), and the first relevant item
    of the run stands at N + (n+1)/(r+1).

    Args:
        scores: f[n, m], queries by gallery; finite. Equal to six decimals is a tie.
        relevant: bool[n, m], at least one per row.

    Returns:
        `QueryFigures`.

    Raises:
        ValueError: for shapes that disagree, scores that are not finite, or a query
            without anything relevant.
    """
    if scores.shape != relevant.shape or scores.ndim != 2:
        raise ValueError(f"scores {scores.shape} and relevant {relevant.shape}: both are [queries, gallery]")
    if not np.all(np.isfinite(scores)):
        raise ValueError("scores hold NaN or infinity")
    total = relevant.sum(axis=1)
    if not np.all(total):
        raise ValueError("a query has no relevant item in the gallery: leave it out")
    size = scores.shape[1]
    scores = np.round(scores.astype("float64"), TIE)
    order = np.argsort(-scores, axis=1, kind="stable")
    scores = np.take_along_axis(scores, order, axis=1)
    hits = np.cumsum(np.take_along_axis(relevant, order, axis=1), axis=1)
    before = np.concatenate([np.zeros_like(hits[:, :1]), hits], axis=1)  # relevant among the first i

    edge = np.ones((len(scores), size + 1), bool)
    edge[:, 1:-1] = scores[:, 1:] != scores[:, :-1]
    places = np.arange(size + 1)
    start = np.maximum.accumulate(np.where(edge, places, 0), axis=1)[:, :-1]
    stop = np.minimum.accumulate(np.where(edge, places, size)[:, ::-1], axis=1)[:, ::-1][:, 1:]
    tied = stop - start
    earlier = np.take_along_axis(before, start, axis=1)
    inside = np.take_along_axis(before, stop, axis=1) - earlier

    with_it = earlier + 1 + (places[:-1] - start) * (inside - 1) / np.maximum(tied - 1, 1)
    average = (inside / tied * with_it / places[1:]).sum(axis=1) / total
    first = np.argmax(inside > 0, axis=1)
    rows = np.arange(len(scores))
    rank = start[rows, first] + (tied[rows, first] + 1) / (inside[rows, first] + 1)

    def found(k: int) -> np.ndarray:
        last = min(k, size) - 1
        missed = _none_drawn(tied[:, last], inside[:, last], last + 1 - start[:, last])
        return np.where(earlier[:, last] > 0, 1.0, 1.0 - missed)

    return QueryFigures(average, found(1), found(5), found(10), rank)


def expected_at_random(gallery: int, relevant: np.ndarray) -> QueryFigures:
    """The same figures for a random order of the whole gallery, in closed form.

    Args:
        gallery: number of items.
        relevant: i[n], how many of them are relevant to each query, at least one.
    """
    count = np.asarray(relevant, "float64")
    # One run of ties from the start: the sum over places is a harmonic number.
    slope = (count - 1) / max(gallery - 1, 1)
    harmonic = (1.0 / np.arange(1, gallery + 1)).sum()
    average = ((1 - slope) * harmonic + slope * gallery) / gallery
    r1, r5, r10 = (
        1.0 - _none_drawn(np.full_like(count, gallery), count, min(k, gallery)) for k in (1, 5, 10)
    )
    return QueryFigures(average, r1, r5, r10, (gallery + 1) / (count + 1))


def _none_drawn(items: np.ndarray, relevant: np.ndarray, draws: np.ndarray | int) -> np.ndarray:
    """Probability that `draws` of `items` taken without replacement are all irrelevant."""
    from scipy.special import gammaln

    others = items - relevant
    left = np.maximum(others - draws, 0)
    log = gammaln(others + 1) - gammaln(left + 1) - gammaln(items + 1) + gammaln(items - draws + 1)
    return np.where(others < draws, 0.0, np.exp(log))
