"""The orientation that a camera notes in EXIF, and how to turn a picture by it."""

from __future__ import annotations

import struct
from typing import NamedTuple

TAG, SHORT = 0x0112, 3
ENTRIES = 512  # of the first directory that are searched: cameras write some twenty


class Turn(NamedTuple):
    """How a stored picture becomes upright: rows and columns swapped first, then reversed.

    Attributes:
        transpose: whether rows become columns.
        flip_rows: whether the order of rows is reversed.
        flip_columns: whether the order of columns is reversed.
    """

    transpose: bool
    flip_rows: bool
    flip_columns: bool


# By the orientation of EXIF, 1 to 8.
TURNS = {
    1: Turn(False, False, False),
    2: Turn(False, False, True),
    3: Turn(False, True, True),
    4: Turn(False, True, False),
    5: Turn(True, False, False),
    6: Turn(True, False, True),
    7: Turn(True, True, True),
    8: Turn(True, True, False),
}


def orientation_of(exif: bytes) -> int:
    """Reads the orientation out of EXIF data: a TIFF header and its first directory.

    Args:
        exif: with or without the leading `Exif`, zero, zero; b"" where a picture has none.

    Returns:
        1 to 8; 1 (upright) where there is no such entry or the data is damaged.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (first,) = struct.unpack_from(f"{order}I", tiff, 4)
    if first + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, first)
    for place in range(first + 2, first + 2 + 12 * min(count, ENTRIES), 12):
        if place + 12 > len(tiff):
            return 1
        tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
        if tag == TAG:
            (value,) = struct.unpack_from(f"{order}H", tiff, place + 8)
            return value if kind == SHORT and value in TURNS else 1
    return 1
