"""What every retrieval index offers, so that programs need not ask which one they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

Where = Mapping[str, str | Sequence[str]]
"""Conditions that all hold: column to the value wanted, or to those of which one will do.

An item with several captions has them as lines of one text, and meets a condition by any of them.
"""


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
        positions: i64[q, k], of the items in the index; they stay until it is compacted.
        scores: f32[q, k], the sum over slots of the inner product of the query's vector
            and the item's code vector, that of its fine code added where there is one (its
            continuous vector after re-ranking). With unit vectors (cosine) it is at most about
            the number of slots.
        items: q lists of k.
    """

    positions: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    items: list[list[Item]]


@runtime_checkable
class Index(Protocol):
    """Items by their shared codes, searched with vectors of the same space.

    A query is f32[slots, dim]: continuous latents (asymmetric), code vectors looked up
    in the codebook, or mixtures of them (`vqmm.retrieval.model_index.query_values`).

    Attributes:
        fingerprint: of the model that made the codes.
        slots: codes of an item.
        dim: length of a code vector.
    """

    fingerprint: str
    slots: int
    dim: int

    @property
    def holds_vectors(self) -> bool:
        """Whether continuous vectors stand beside the codes, for re-ranking."""
        ...

    @property
    def holds_fine(self) -> bool:
        """Whether items have fine codes beside the shared ones."""
        ...

    def add(
        self,
        codes: Any,
        ids: Sequence[str],
        modality: str,
        split: str = "",
        metadata: Mapping[str, Sequence[str]] | None = None,
        vectors: Any = None,
        fine: Any = None,
    ) -> int:
        """Adds items; those that are there already, with the same codes, take the new metadata.

        Such an item moves behind the others where its metadata differs. Of an id that is given twice
        the last one's metadata counts.

        Args:
            codes: integer [n, slots], rows of the joint codebook in its shared range.
            ids: n names, unique for a modality and split.
            modality: `"audio"` or `"image"`.
            split: of the data that they come from.
            metadata: n strings for each further column; None leaves that of items that are there.
            vectors: f[n, slots, dim], kept as float16; where `holds_vectors`, and only there.
            fine: integer [n, slots], rows of each slot's fine table; where `holds_fine`, and only there.

        Returns:
            How many were new.

        Raises:
            UserError: codes outside the shared range or of another number of slots,
                vectors or fine codes missing, not wanted or not legal, or an id that is there with
                other codes.
        """
        ...

    def copies_elsewhere(
        self, codes: Any, ids: Sequence[str], modality: str, split: str, fine: Any = None
    ) -> dict[str, list[str]]:
        """Finds items under the same names with the same codes in other splits.

        Args:
            codes, ids, modality, fine: of the items to look for, as for `add`.
            split: that is left out.

        Returns:
            Names by split.
        """
        ...

    def remove(self, ids: Sequence[str], modality: str | None = None, split: str | None = None) -> int:
        """Removes items by name, of one modality or split or of all.

        Returns:
            How many went; a name may be that of a recording and of a picture.

        Raises:
            UserError: a name that no item has; then nothing is removed.
        """
        ...

    def count(self, modality: str | None = None, where: Where | None = None) -> int:
        """Number of items that meet all conditions."""
        ...

    def search(
        self,
        values: Any,
        k: int,
        modality: str | None = None,
        where: Where | None = None,
        rerank: int = 0,
    ) -> Hits:
        """Finds the k items with the highest scores.

        Args:
            values: f32[q, slots, dim].
            k: 1 to `count(modality, where)`.
            modality: search only its items; None searches all.
            where: search only items that meet these conditions.
            rerank: score so many first hits anew by their continuous vectors; 0 does not.

        Raises:
            UserError: k out of bounds, values of another shape or not finite, a column
                that the items do not have, or re-ranking without vectors.
        """
        ...

    def save(self, folder: str | Path) -> None:
        """Writes the index; a crash leaves the old one or the new one, never a mix."""
        ...

    @classmethod
    def open(cls, folder: str | Path, expect_fingerprint: str | None = None) -> Self:
        """Reads a saved index; refuses one of another codebook where told which to expect."""
        ...
