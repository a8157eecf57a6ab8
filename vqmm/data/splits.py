"""Splits for manifests that name none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from vqmm.data.manifest import Row

HELD_OUT = 0.1  # of the items to validation, as many to test; the rest trains


def assign_splits(rows: Sequence[Row], seed: int) -> list[Row]:
    """Gives every row a split.

    A row without one takes that of another row of its item. Items none of whose
    rows has one are ordered by a hash of seed and name and cut 80/10/10, so that
    no item lies in two splits and the same seed gives the same splits.

    Args:
        rows: of one manifest.
        seed: of the order.

    Returns:
        The rows, in order, none with ``split`` None.
    """
    given = {row.item: row.split for row in reversed(rows) if row.split}
    free = sorted(
        {row.item for row in rows} - given.keys(),
        key=lambda item: hashlib.sha256(f"{seed}/{item}".encode()).digest(),
    )
    held_out = max(1, round(HELD_OUT * len(free))) if len(free) >= 3 else 0
    given |= {item: "train" for item in free[2 * held_out :]}
    given |= {item: "validation" for item in free[held_out : 2 * held_out]}
    given |= {item: "test" for item in free[:held_out]}
    return [row if row.split else replace(row, split=given[row.item]) for row in rows]
