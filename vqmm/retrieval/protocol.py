"""What every retrieval index offers, so that programs need not ask which one they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt


class Item(NamedTuple):
    """One item of an index.

    Attributes:
        id: as the data names it.
        modality: `"audio"` or `"image"`.
        split: of the data that it came from, "" where unknown.
        metadata: further columns such as `label` and `caption`; those it lacks are "".
    """

    id: str
    modality: str
    split: str
    metadata: dict[str, str]


class Hits(NamedTuple):
    """What a search found, best first; equal scores in the order they were added.

    Attributes:
        positions: i64[q, k], of the items in the index.
        scores: f32[q, k], the sum over slots of the inner product of the query's vector
            and the item's code vector. With unit vectors (cosine) it is at most the
            number of slots.
        items: q lists of k.
    """

    positions: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    items: list[list[Item]]


@runtime_checkable
class Index(Protocol):
    """Items by their shared codes, searched with vectors of the same space.

    A query is f32[slots, dim]: continuous latents (asymmetric), or code vectors
    looked up in the codebook (coded).
    """

    fingerprint: str
    slots: int
    dim: int

    def add(
        self,
        codes: Any,
        ids: Sequence[str],
        modality: str,
        split: str = "",
        metadata: Mapping[str, Sequence[str]] | None = None,
    ) -> int:
        """Adds items; those that are there already, with the same codes, are left out.

        Args:
            codes: integer [n, slots], rows of the joint codebook in its shared range.
            ids: n names, unique for a modality and split.
            modality: `"audio"` or `"image"`.
            split: of the data that they come from.
            metadata: n strings for each further column.

        Returns:
            How many were new.

        Raises:
            UserError: codes outside the shared range or of another number of slots, or
                an id that is there with other codes.
        """
        ...

    def count(self, modality: str | None = None) -> int:
        """Number of items, of one modality or of all."""
        ...

    def search(self, values: Any, k: int, modality: str | None = None) -> Hits:
        """Finds the k items with the highest scores.

        Args:
            values: f32[q, slots, dim].
            k: 1 to `count(modality)`.
            modality: search only its items; None searches all.

        Raises:
            UserError: k out of bounds, values of another shape or not finite.
        """
        ...

    def save(self, folder: str | Path) -> None:
        """Writes the index; a crash leaves the old one or the new one, never a mix."""
        ...

    @classmethod
    def open(cls, folder: str | Path, expect_fingerprint: str | None = None) -> Self:
        """Reads a saved index; refuses one of another codebook where told which to expect."""
        ...
