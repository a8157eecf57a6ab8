"""The columns of a manifest, and what is a misspelling of one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from vqmm.errors import UserError, nearest

log = logging.getLogger("vqmm.data")

PATHS = ("audio", "image")
COLUMNS = (*PATHS, "label", "split", "id", "caption", "item")


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Refuses columns that a manifest cannot have, and misspellings of those that it lacks.

    A column is refused as a misspelling only where it is plainly one: a known name in other case or
    with two neighbouring letters swapped, and no column has the known name itself. A name that is
    one letter away may be a column of the user's own: it is kept and logged as a warning.

    Raises:
        UserError: no columns, one that is named twice, a misspelling, or neither `audio` nor `image`.
    """
    if not columns:
        raise UserError(f"manifest {path} is empty: it has neither heading nor rows")
    if len(set(columns)) < len(columns):
        raise UserError(f"manifest {path}: a column is named twice: {', '.join(columns)}")
    absent = [known for known in COLUMNS if known not in columns]
    own = [column for column in columns if column not in COLUMNS]
    for column in own:
        meant = next((known for known in absent if _is_slip(column.lower(), known)), None)
        if meant is not None:
            raise UserError(
                f"manifest {path}: unknown column {column!r} (did you mean {meant!r}?); rename it to "
                f"{meant!r}, or to something else if it is a column of your own; known: {', '.join(COLUMNS)}"
            )
    if not set(PATHS) & set(columns):
        hints = "".join(nearest(column.lower(), PATHS) for column in columns)
        raise UserError(
            f"manifest {path} has the columns {', '.join(columns)}{hints}; it needs 'audio', 'image' or both"
        )
    for column in own:
        meant = next((known for known in absent if _is_near(column.lower(), known)), None)
        if meant is not None:
            log.warning(
                "manifest %s: column %r is kept as one of your own; rename it if you mean %r",
                path,
                column,
                meant,
            )


def _is_slip(word: str, known: str) -> bool:
    """Returns whether a word is a known one, or that with two neighbouring letters swapped."""
    swapped = [known[:i] + known[i + 1] + known[i] + known[i + 2 :] for i in range(len(known) - 1)]
    return word in (known, *swapped)


def _is_near(word: str, known: str) -> bool:
    """Returns whether a word of four letters or more is one letter away from a known one."""
    if abs(len(word) - len(known)) > 1 or min(len(word), len(known)) < 4:
        return False
    short, long = sorted((word, known), key=len)
    if len(short) < len(long):
        return short in [long[:i] + long[i + 1 :] for i in range(len(long))]
    return sum(a != b for a, b in zip(short, long, strict=True)) == 1
