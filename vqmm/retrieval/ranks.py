"""Ranks of hits, in which equal scores share one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Scores of items with the same codes may differ so much by the order in which a scan and lists add.
ROUNDING = 4 * float(np.finfo(np.float32).eps)


def shared_ranks(scores: Sequence[float]) -> list[int]:
    """Ranks scores that are sorted, best first: equal ones share a rank, and the next one counts them all.

    Scores are equal where they differ by no more than the rounding of float32. So scores 3, 2, 2, 1
    have the ranks 1, 2, 2, 4.
    """
    ranks: list[int] = []
    first = 0.0
    for place, score in enumerate(scores, start=1):
        if ranks and first - score <= ROUNDING * max(1.0, abs(first)):
            ranks.append(ranks[-1])
        else:
            first = score
            ranks.append(place)
    return ranks
