"""Encoded recordings and pictures that stay where their shards hold them."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, overload

from vqmm.data.shards import Record

FRAME = 12  # bytes of a TFRecord before what it holds: its length, and a checksum of that
TAIL = 4  # bytes after it: a checksum


class Span(NamedTuple):
    """Where an item lies: `file[start:stop]`."""

    file: mmap.mmap
    start: int
    stop: int


class StoredItems(Sequence[bytes]):
    """Items of mapped shards: the system reads them when they are asked for, and may forget them again.

    So a split may be larger than memory. What is mapped stays readable when the file's name is gone.

    Args:
        spans: of the items, in order.
    """

    def __init__(self, spans: Sequence[Span]):
        self._spans = list(spans)

    def __len__(self) -> int:
        return len(self._spans)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [file[start:stop] for file, start, stop in self._spans[place]]
        file, start, stop = self._spans[place]
        return file[start:stop]


def spans_of(path: Path, records: Sequence[Record]) -> list[Span]:
    """Where a shard holds the data of its records.

    Args:
        path: of the shard; it must not change, though it may be removed.
        records: all of it, in stored order.
    """
    if not records:
        return []
    with path.open("rb") as shard:
        file = mmap.mmap(shard.fileno(), 0, access=mmap.ACCESS_READ)
    found, place = [], 0
    for record in records:
        size = int.from_bytes(file[place : place + 8], "little")
        start = file.find(record.data, place + FRAME, place + FRAME + size)
        if start < 0:
            raise ValueError(f"{path} does not hold record {record.id!r} at byte {place}")
        found.append(Span(file, start, start + len(record.data)))
        place += FRAME + size + TAIL
    return found
