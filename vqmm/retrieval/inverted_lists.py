"""Inverted lists over packed codes: a query scans the lists nearest to it, not everything."""

from __future__ import annotations

from typing import Any, Self

import faiss
import numpy as np
import numpy.typing as npt

from vqmm.errors import UserError
from vqmm.retrieval.code_scan import CodeScan, Found, Packed

SAMPLE = 64  # different items a list that k-means sees at most
ROUNDS = 10
BLOCK = 2**25  # scores that exist at one time while items are dealt to lists


class InvertedLists:
    """FAISS's IVF over the same codes: a list for each part of the space, scored as the flat scan scores.

    Items with the same codes are one entry, whose rows stand beside the lists, so codes
    that many items share are scored once. The lists' centres come from k-means over the
    code vectors of entries; an entry goes to the list whose centre has the highest score
    with it.

    Args:
        index: FAISS's, over entries.
        bounds: i64[entries + 1], where each entry's rows start in `members`.
        members: u32[rows], the rows of all entries, ascending within one.
    """

    def __init__(self, index: Any, bounds: npt.NDArray[np.int64], members: npt.NDArray[np.uint32]):
        if len(bounds) != index.ntotal + 1 or bounds[-1] != len(members):
            raise ValueError(f"{index.ntotal} entries, {len(bounds)} bounds, {len(members)} rows")
        self._index, self._bounds, self._members = index, bounds, members

    @classmethod
    def build(cls, scan: CodeScan, packed: Packed, lists: int, seed: int = 0) -> Self:
        """Deals rows to lists.

        Args:
            scan: of the codebook.
            packed: u8[n, bytes], at least one row.
            lists: how many to make; no more than there are different items.
            seed: of k-means.

        Raises:
            UserError: fewer than one list, or nothing to deal.
        """
        if lists < 1 or not len(packed):
            raise UserError(f"{lists} lists over {len(packed)} items; both are at least 1")
        entries, entry_of = _different(packed)
        centres = _centres(scan, entries, min(lists, len(entries)), seed)
        used, list_of = np.unique(_nearest(scan, entries, centres), return_inverse=True)
        coarse = faiss.IndexFlatIP(scan.columns * scan.dim)
        coarse.add(scan.wide(centres[used]))
        index: Any = faiss.IndexIVFPQ(
            coarse, coarse.d, len(used), scan.columns, scan.bits, faiss.METRIC_INNER_PRODUCT
        )
        index.by_residual = False  # codes are those of the items themselves, not of what a centre leaves
        faiss.copy_array_to_vector(faiss.vector_to_array(scan.quantizer.centroids), index.pq.centroids)
        index.is_trained = True
        order, bounds = _grouped(list_of, len(used))
        for number, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            ids = np.ascontiguousarray(order[start:stop])
            part = np.ascontiguousarray(entries[ids])
            index.invlists.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(part))
        index.ntotal = len(entries)
        members, starts = _grouped(entry_of, len(entries))
        return cls(index, starts, members.astype(np.uint32))

    @classmethod
    def read(cls, lists: npt.NDArray[np.uint8], members: npt.NDArray[np.uint8]) -> Self:
        """Reads what `to_bytes` gave; content that is mapped from a file stays there.

        Raises:
            RuntimeError, AttributeError, ValueError: it is not such content.
        """
        if isinstance(lists, np.memmap):
            index: Any = faiss.read_index(str(lists.filename), faiss.IO_FLAG_MMAP)
            held: Any = faiss.downcast_InvertedLists(index.invlists)
            held.prefetch_nthread = 0  # more threads than it saves
        else:
            index = faiss.deserialize_index(lists)
        cut = 8 * (index.ntotal + 1)
        return cls(index, members[:cut].view(np.int64), members[cut:].view(np.uint32))

    def to_bytes(self) -> tuple[npt.NDArray[np.uint8], list[Any]]:
        """A FAISS index file of entries, which `faiss.read_index` reads as well, and their rows in blocks."""
        return faiss.serialize_index(self._index), [self._bounds, self._members]

    @property
    def rows(self) -> int:
        """How many rows are in the lists, from the first on."""
        return len(self._members)

    @property
    def lists(self) -> int:
        """How many lists there are; those that nothing fell into are left out."""
        return int(self._index.nlist)

    def entries_of(self, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which entries have a row that is allowed, of bool[rows or more]."""
        return np.logical_or.reduceat(allowed[self._members], self._bounds[:-1])

    def search(
        self,
        values: npt.NDArray[np.float32],
        k: int,
        probes: int,
        allowed: npt.NDArray[np.bool_] | None = None,
        entries: npt.NDArray[np.bool_] | None = None,
    ) -> Found:
        """Finds the best rows of the `probes` lists nearest to each query.

        Args:
            values: f32[q, slots, dim].
            k: rows to find.
            probes: lists to scan.
            allowed: bool[rows or more]; None allows all.
            entries: `entries_of(allowed)`, where that is at hand.
        """
        queries = np.ascontiguousarray(values, np.float32).reshape(len(values), -1)
        queries = np.tile(queries, (1, self._index.d // queries.shape[1]))  # once more for fine codes
        kinds: Any = faiss  # whose stubs do not know these arguments
        selector = None
        if allowed is not None:
            chosen = self.entries_of(allowed) if entries is None else entries
            selector = kinds.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))
        how = kinds.SearchParametersIVF(nprobe=min(probes, self.lists), sel=selector)
        best, found = self._index.search(queries, min(k, len(self._bounds) - 1), params=how)
        rows = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        for line in range(len(queries)):
            filled = 0
            for entry, score in zip(found[line].tolist(), best[line].tolist(), strict=True):
                if entry < 0 or filled == k:
                    break
                here = self._members[self._bounds[entry] : self._bounds[entry + 1]]
                if allowed is not None:
                    here = here[allowed[here]]
                here = here[: k - filled]
                rows[line, filled : filled + len(here)] = here
                scores[line, filled : filled + len(here)] = score
                filled += len(here)
        return Found(scores, rows)


def _grouped(group_of: npt.NDArray[np.int64], groups: int) -> tuple[Any, npt.NDArray[np.int64]]:
    """Members of each group, ascending, one group after the other, and where each starts."""
    order = np.argsort(group_of, kind="stable")
    return order, np.searchsorted(group_of[order], np.arange(groups + 1)).astype(np.int64)


def _different(packed: Packed) -> tuple[Packed, npt.NDArray[np.int64]]:
    """The different rows, and which of them each row is."""
    whole = np.ascontiguousarray(packed).view([("", np.void, packed.shape[1])]).ravel()
    _, where, inverse = np.unique(whole, return_index=True, return_inverse=True)
    return np.ascontiguousarray(packed[where]), inverse


def _centres(scan: CodeScan, entries: Packed, lists: int, seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    vectors = scan.vectors(entries[rng.permutation(len(entries))[: SAMPLE * lists]])
    kmeans: Any = faiss.Kmeans(
        vectors.shape[1],
        lists,
        niter=ROUNDS,
        spherical=True,
        seed=seed + 1,
        min_points_per_centroid=1,
        max_points_per_centroid=SAMPLE,
    )
    kmeans.train(vectors)
    return kmeans.centroids


def _nearest(scan: CodeScan, entries: Packed, centres: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    chosen = np.empty(len(entries), np.int64)
    step = max(BLOCK // max(len(centres), scan.columns * scan.dim), 1)
    for start in range(0, len(entries), step):
        vectors = scan.vectors(entries[start : start + step])
        chosen[start : start + step] = (vectors @ centres.T).argmax(axis=1)
    return chosen
