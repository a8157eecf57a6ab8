"""The search of an index as it stands: chosen rows, scanned or sought in lists, scored anew by vectors."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.retrieval.code_scan import CodeScan, Found, Packed
from vqmm.retrieval.inverted_lists import InvertedLists
from vqmm.retrieval.item_table import ItemTable
from vqmm.retrieval.protocol import Where
from vqmm.retrieval.vector_store import VectorStore

REMEMBERED = 8  # selections
FEW = 20_000  # rows that are scanned rather than sought in lists


class Selection(NamedTuple):
    """Rows that a search is about.

    Attributes:
        rows: i64[n], in order; None for all.
        packed: their codes, u8[n, bytes].
        allowed: bool[all rows], True where selected; None for all.
        entries: which entries of the lists have a selected row; None for all, or without lists.
    """

    rows: npt.NDArray[np.int64] | None
    packed: Packed
    allowed: npt.NDArray[np.bool_] | None
    entries: npt.NDArray[np.bool_] | None = None


class Searcher:
    """Searches rows that do not change; an index makes a new one after each change.

    Several threads may use it.

    Args:
        scan: of the codebook.
        packed: codes of all rows.
        items: the same rows.
        vectors: the same rows, or None.
        inverted: lists over the first of them, or None for a flat scan.

    Attributes:
        counts: items of each modality, and of all under None.
    """

    def __init__(
        self,
        scan: CodeScan,
        packed: Packed,
        items: ItemTable,
        vectors: VectorStore | None,
        inverted: InvertedLists | None,
    ):
        self._scan, self._packed, self._items = scan, packed, items
        self._vectors, self._inverted = vectors, inverted
        self.counts = items.counts()
        self._selections: OrderedDict[Any, Selection] = OrderedDict()
        self._lock = threading.Lock()

    def select(self, modality: str | None, where: Where | None) -> Selection:
        """Rows that meet all conditions; the last few selections are remembered.

        Raises:
            UserError: no such modality, or a column that the items do not have.
        """
        conditions = {name: (v,) if isinstance(v, str) else tuple(v) for name, v in (where or {}).items()}
        key = modality, tuple(sorted(conditions.items()))
        with self._lock:
            if key in self._selections:
                self._selections.move_to_end(key)
                return self._selections[key]
        chosen = self._chosen(self._items.select(modality, conditions))
        with self._lock:
            self._selections[key] = chosen
            while len(self._selections) > REMEMBERED:
                self._selections.popitem(last=False)
        return chosen

    def find(self, values: npt.NDArray[np.float32], k: int, chosen: Selection, probes: int) -> Found:
        """The k best selected rows for each query, in no particular order among equals.

        Lists are asked where they can help: few rows are scanned outright, and so are those
        of a query whose lists hold fewer than k of them.

        Args:
            values: f32[q, slots, dim].
            k: at most the number of selected rows.
            chosen: by `select`.
            probes: lists to scan.
        """
        if self._inverted is None or len(chosen.packed) <= FEW:
            return self._scanned(values, k, chosen)
        found = self._inverted.search(values, k, probes, chosen.allowed, chosen.entries)
        tail = self._behind(self._inverted.rows, chosen)
        if len(tail.packed):
            found = _merged(found, self._scanned(values, min(k, len(tail.packed)), tail))
        short = np.flatnonzero((found.rows < 0).any(axis=1))
        if len(short):
            whole = self._scanned(values[short], k, chosen)
            found.scores[short], found.rows[short] = whole
        return found

    def rescored(self, values: npt.NDArray[np.float32], found: Found) -> Found:
        """The same rows scored by their continuous vectors.

        Raises:
            ValueError: there are no vectors.
        """
        if self._vectors is None:
            raise ValueError("no vectors to score by")
        vectors = self._vectors.take(found.rows.ravel()).reshape(*found.rows.shape, -1)
        flat = values.reshape(len(values), -1)
        return Found(np.einsum("qd,qkd->qk", flat, vectors), found.rows)

    def _chosen(self, rows: npt.NDArray[np.int64]) -> Selection:
        if len(rows) == len(self._packed):
            return Selection(None, self._packed, None)
        allowed = np.zeros(len(self._packed), bool)
        allowed[rows] = True
        sought = self._inverted is not None and len(rows) > FEW
        entries = self._inverted.entries_of(allowed) if self._inverted and sought else None
        return Selection(rows, self._packed[rows], allowed, entries)

    def _scanned(self, values: npt.NDArray[np.float32], k: int, chosen: Selection) -> Found:
        found = self._scan.search(chosen.packed, values, k)
        return found if chosen.rows is None else Found(found.scores, chosen.rows[found.rows])

    def _behind(self, start: int, chosen: Selection) -> Selection:
        """What is selected of the rows from `start` on."""
        if chosen.rows is None:
            return Selection(np.arange(start, len(self._packed)), chosen.packed[start:], None)
        at = int(np.searchsorted(chosen.rows, start))
        return Selection(chosen.rows[at:], chosen.packed[at:], None)


def _merged(one: Found, other: Found) -> Found:
    k = one.rows.shape[1]
    rows = np.concatenate([one.rows, other.rows], axis=1)
    scores = np.concatenate([one.scores, other.scores], axis=1)
    best = np.lexsort((-scores, rows < 0), axis=1)[:, :k]
    return Found(np.take_along_axis(scores, best, axis=1), np.take_along_axis(rows, best, axis=1))
