"""Which part of an item is drawn anew: from words to places of the grid of private codes."""

from __future__ import annotations

import numpy as np

from vqmm.errors import UserError
from vqmm.models.token_layout import Section

WAYS = "START:STOP or START:STOP,START:STOP, shares in 0..1 of rows (a recording: time) and columns (pitch)"


def kept_places(hide: str, section: Section, grid: tuple[int, int]) -> np.ndarray:
    """Places that stay when a rectangle is drawn anew.

    Args:
        hide: the rectangle, as `WAYS` says; `"0.5:1"` is the lower half of a picture and the
            second half of a recording, `"0:1,0:0.5"` the left half and the lower pitches.
        section: of the private codes.
        grid: rows and columns that they lie in.

    Returns:
        bool[section.length], True where the code stays.

    Raises:
        UserError: no such rectangle, or one that hides nothing of the grid.
    """
    bounds = _bounds(hide)
    rows, columns = grid
    covered = []
    for (start, stop), size in zip(bounds, (rows, columns), strict=True):
        middles = (np.arange(size) + 0.5) / size
        covered.append((middles >= start) & (middles < stop))
    hidden = covered[0][:, None] & covered[1][None, :]
    if not hidden.any():
        raise UserError(
            f"--inpaint {hide!r} hides none of the {rows} x {columns} places; give a larger part: {WAYS}"
        )
    return ~np.repeat(hidden.ravel(), section.length // (rows * columns))


def _bounds(hide: str) -> list[tuple[float, float]]:
    parts = hide.split(",")
    found = []
    for part in parts:
        start, colon, stop = part.partition(":")
        try:
            bound = (float(start or 0), float(stop or 1))
        except ValueError:
            bound = (1.0, 0.0)
        if not colon or not 0 <= bound[0] < bound[1] <= 1:
            raise UserError(f"--inpaint {hide!r}: {part!r} is no part of an item; give {WAYS}")
        found.append(bound)
    if len(found) > 2:
        raise UserError(f"--inpaint {hide!r} has {len(found)} ranges; give {WAYS}")
    return [*found, (0.0, 1.0)][:2]
