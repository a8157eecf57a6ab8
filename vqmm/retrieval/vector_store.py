"""Continuous vectors of items, float16, in memory or mapped from a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vqmm.errors import UserError

BLOCK = 2**16
Half = npt.NDArray[np.float16]


class VectorStore:
    """Vectors by row, read only where a row is asked for.

    Args:
        slots: vectors of an item.
        dim: length of each.
        content: u8[bytes], that `blocks` gave one after the other.
    """

    def __init__(self, slots: int, dim: int, content: npt.NDArray[np.uint8] | None = None):
        self.slots, self.dim = slots, dim
        empty = np.empty(0, np.uint8)
        self._parts: list[Half] = [
            (empty if content is None else content).view(np.float16).reshape(-1, slots, dim)
        ]
        self._kept: npt.NDArray[np.int64] | None = None  # rows of the parts that still count

    def __len__(self) -> int:
        return sum(map(len, self._parts)) if self._kept is None else len(self._kept)

    def half(self, vectors: Any, n: int) -> Half:
        """Checks vectors of n items and makes them float16.

        Raises:
            UserError: another shape, or values that are not finite or too large for float16.
        """
        vectors = np.asarray(vectors)
        if vectors.shape != (n, self.slots, self.dim) or vectors.dtype.kind != "f":
            raise UserError(
                f"vectors of shape {vectors.shape} and type {vectors.dtype}; "
                f"{n} items take floats ({n}, {self.slots}, {self.dim})"
            )
        with np.errstate(over="ignore"):
            half = vectors.astype(np.float16)
        if not np.isfinite(half).all():
            raise UserError("vectors hold values that are NaN, infinite or past float16's 65504")
        return half

    def append(self, vectors: Half) -> None:
        """Adds rows that `half` gave."""
        if self._kept is not None:
            total = sum(map(len, self._parts))
            self._kept = np.concatenate([self._kept, total + np.arange(len(vectors))])
        self._parts.append(vectors)

    def select(self, rows: npt.NDArray[np.int64]) -> None:
        """Keeps some rows, in this order; nothing is copied."""
        self._kept = rows if self._kept is None else self._kept[rows]

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Vectors of some rows, f32[n, slots, dim]."""
        at = rows if self._kept is None else self._kept[rows]
        found = np.empty((len(at), self.slots, self.dim), np.float32)
        start = 0
        for part in self._parts:
            here = (at >= start) & (at < start + len(part))
            found[here] = part[at[here] - start]
            start += len(part)
        return found

    def blocks(self, start: int = 0) -> Iterator[Half]:
        """The rows from `start` on, a block at a time, to be written."""
        for first in range(start, len(self), BLOCK):
            yield self.take(np.arange(first, min(first + BLOCK, len(self)))).astype(np.float16)
