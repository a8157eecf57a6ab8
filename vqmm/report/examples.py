"""Retrieval examples: drawn at random, not chosen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vqmm.metrics import Scorer
from vqmm.metrics.ranking import TIE


class Hit(NamedTuple):
    """An item that was found.

    Attributes:
        row: of the gallery.
        score: of the scorer.
        right: whether it belongs to the query; None where nobody knows.
    """

    row: int
    score: float
    right: bool | None


class Example(NamedTuple):
    """A query and what it found, best first."""

    row: int
    hits: list[Hit]


def retrieval_examples(
    scorer: Scorer, asked: np.ndarray, answers: np.ndarray, count: int, top: int, seed: int = 0
) -> list[Example]:
    """Ranks the gallery for a few queries, each of another group while there are any.

    Ties are broken at random: hard codes tie often, and stored order must not decide.

    Args:
        scorer: from a slice of queries to scores f[queries, gallery].
        asked, answers: i[n] and i[m], groups; negative = unknown.
        count: queries.
        top: items shown for each.
        seed: of the draw and of ties.
    """
    rng = np.random.default_rng(seed)
    found = []
    for row in draw_rows(asked, count, seed):
        scores = np.round(scorer(slice(row, row + 1))[0].astype("float64"), TIE)
        order = np.lexsort((rng.random(len(scores)), -scores))[:top]
        known = asked[row] >= 0
        hits = [
            Hit(
                int(i),
                float(scores[i]),
                bool(answers[i] == asked[row]) if known and answers[i] >= 0 else None,
            )
            for i in order
        ]
        found.append(Example(int(row), hits))
    return found


def draw_rows(groups: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Up to `count` rows at random, one per group before any group comes twice; sorted by group."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(groups))
    turn = np.zeros(len(groups), "int64")  # how many of the row's group were drawn before it
    seen: dict[int, int] = {}
    for place, row in enumerate(order):
        group = int(groups[row])
        turn[place] = seen.get(group, 0)
        seen[group] = turn[place] + 1
    rows = order[np.argsort(turn, kind="stable")][:count]
    return rows[np.argsort(groups[rows], kind="stable")]
