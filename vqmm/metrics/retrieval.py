"""Retrieval figures: mAP, recall and median rank, with chance and intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vqmm.metrics.bootstrap import Figure, bootstrap_figure
from vqmm.metrics.ranking import QueryFigures, expected_at_random, rank_queries
from vqmm.metrics.scorers import Scorer

BLOCK = 256  # queries scored at once


class Ranked(NamedTuple):
    """The rankings of a gallery for the queries of which it holds something.

    Attributes:
        rows: i64[n], which queries.
        figures: per query.
        relevant: i64[n], how many items are relevant.
        size: of the gallery.
    """

    rows: np.ndarray
    figures: QueryFigures
    relevant: np.ndarray
    size: int


class RetrievalFigures(NamedTuple):
    """What `judge_retrieval` finds; each figure knows its chance and interval.

    Attributes:
        map: mean over queries of the average precision.
        r1, r5, r10: share of queries with a relevant item among the first 1, 5, 10.
        median_rank: median over queries of the rank of the first relevant item.
    """

    map: Figure
    r1: Figure
    r5: Figure
    r10: Figure
    median_rank: Figure

    def to_json(self) -> dict[str, Any]:
        """By name the figures, and under `chance` the chance levels alone."""
        figures = self._asdict()
        tree: dict[str, Any] = {name: figure.to_json() for name, figure in figures.items()}
        tree["chance"] = {name: figure.chance for name, figure in figures.items()}
        return tree


def judge_retrieval(
    scorer: Scorer,
    query_groups: np.ndarray,
    gallery_groups: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> RetrievalFigures:
    """Ranks the gallery for every query and judges the rankings.

    An item is relevant if it has the query's group: the same label, or the same
    paired item. Queries of which the gallery holds nothing are left out; `n` of the
    figures says how many remain. Ties count by their expectation over random order.

    Args:
        scorer: from a slice of queries to scores f[queries, gallery].
        query_groups: i[n]; negative is unknown, and such a query is left out.
        gallery_groups: i[m]; what is unknown here is relevant to none.
        resamples, seed: of the bootstrap over queries.

    Raises:
        ValueError: when no query has anything relevant in the gallery.
    """
    return judge_ranked(rank_gallery(scorer, query_groups, gallery_groups), resamples, seed)


def rank_gallery(scorer: Scorer, query_groups: np.ndarray, gallery_groups: np.ndarray) -> Ranked:
    """The first half of `judge_retrieval`: figures query by query. Arguments and errors as there."""
    ranked, counts, rows = [], [], []
    for start in range(0, len(query_groups), BLOCK):
        block = slice(start, start + BLOCK)
        # A negative group is unknown: two unknown items do not belong together.
        relevant = (query_groups[block, None] == gallery_groups[None, :]) & (query_groups[block, None] >= 0)
        kept = relevant.any(axis=1)
        if kept.any():
            ranked.append(rank_queries(scorer(block)[kept], relevant[kept]))
            counts.append(relevant[kept].sum(axis=1))
            rows.append(start + np.flatnonzero(kept))
    if not ranked:
        raise ValueError("no query has a relevant item in the gallery")
    figures = QueryFigures(*(np.concatenate(column) for column in zip(*ranked, strict=True)))
    return Ranked(np.concatenate(rows), figures, np.concatenate(counts), len(gallery_groups))


def judge_ranked(ranked: Ranked, resamples: int = 1000, seed: int = 0) -> RetrievalFigures:
    """The second half of `judge_retrieval`: means and medians over queries, with chance and intervals."""
    random = expected_at_random(ranked.size, ranked.relevant)

    def figure(name: str) -> Figure:
        statistic = "median" if name == "median_rank" else "mean"
        chance = float(getattr(np, statistic)(getattr(random, name)))
        return bootstrap_figure(getattr(ranked.figures, name), statistic, resamples, seed, chance)

    return RetrievalFigures(*(figure(name) for name in RetrievalFigures._fields))
