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

    The lists' centres come from k-means over the code vectors of items, each different
    item counted once; an item goes to the list whose centre has the highest score with it.

    Attributes:
        rows: how many rows are in the lists, from the first on.
        lists: how many lists there are; those that nothing fell into are left out.
    """

    def __init__(self, index: Any):
        self._index = index

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
        different, inverse = _different(packed)
        codes = scan.unpack(different)
        centres = _centres(scan, codes, min(lists, len(codes)), seed)
        chosen = _nearest(scan, codes, centres)
        used, chosen = np.unique(chosen, return_inverse=True)
        coarse = faiss.IndexFlatIP(centres.shape[1])
        coarse.add(np.ascontiguousarray(centres[used]))
        index: Any = faiss.IndexIVFPQ(
            coarse, centres.shape[1], len(used), scan.slots, scan.bits, faiss.METRIC_INNER_PRODUCT
        )
        index.by_residual = False  # codes are those of the items themselves, not of what a centre leaves
        faiss.copy_array_to_vector(faiss.vector_to_array(scan.quantizer.centroids), index.pq.centroids)
        index.is_trained = True
        of_row = chosen[inverse]
        order = np.argsort(of_row, kind="stable")
        bounds = np.searchsorted(of_row[order], np.arange(len(used) + 1))
        ordered = np.ascontiguousarray(packed[order])
        for number, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            ids, part = order[start:stop], ordered[start:stop]
            index.invlists.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(part))
        index.ntotal = len(packed)
        return cls(index)

    @classmethod
    def read(cls, content: npt.NDArray[np.uint8]) -> Self:
        """Reads what `to_bytes` gave; content that is mapped from a file stays there.

        Raises:
            RuntimeError, AttributeError: it is not such content.
        """
        if not isinstance(content, np.memmap):
            return cls(faiss.deserialize_index(content))
        index: Any = faiss.read_index(str(content.filename), faiss.IO_FLAG_MMAP)
        lists: Any = faiss.downcast_InvertedLists(index.invlists)
        lists.prefetch_nthread = 0  # more threads than it saves
        return cls(index)

    def to_bytes(self) -> npt.NDArray[np.uint8]:
        """A FAISS index file, which `faiss.read_index` reads as well."""
        return faiss.serialize_index(self._index)

    @property
    def rows(self) -> int:
        return int(self._index.ntotal)

    @property
    def lists(self) -> int:
        return int(self._index.nlist)

    def search(
        self,
        values: npt.NDArray[np.float32],
        k: int,
        probes: int,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> Found:
        """Finds the best rows of the `probes` lists nearest to each query.

        Args:
            values: f32[q, slots, dim].
            k: rows to find.
            probes: lists to scan.
            allowed: bool[rows]; None allows all.
        """
        queries = np.ascontiguousarray(values, np.float32).reshape(len(values), -1)
        kinds: Any = faiss  # whose stubs do not know these arguments
        selector = None
        if allowed is not None:
            selector = kinds.IDSelectorBitmap(np.packbits(allowed[: self.rows], bitorder="little"))
        how = kinds.SearchParametersIVF(nprobe=min(probes, self.lists), sel=selector)
        return Found(*self._index.search(queries, k, params=how))


def _different(packed: Packed) -> tuple[Packed, npt.NDArray[np.int64]]:
    """The different rows, and which of them each row is."""
    whole = np.ascontiguousarray(packed).view([("", np.void, packed.shape[1])]).ravel()
    _, where, inverse = np.unique(whole, return_index=True, return_inverse=True)
    return np.ascontiguousarray(packed[where]), inverse


def _centres(scan: CodeScan, codes: npt.NDArray[np.int32], lists: int, seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    sample = rng.permutation(len(codes))[: SAMPLE * lists]
    vectors = scan.codebook[codes[sample]].reshape(len(sample), -1)
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


def _nearest(
    scan: CodeScan, codes: npt.NDArray[np.int32], centres: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    chosen = np.empty(len(codes), np.int64)
    step = max(BLOCK // max(len(centres), scan.slots * scan.dim), 1)
    for start in range(0, len(codes), step):
        vectors = scan.codebook[codes[start : start + step]].reshape(-1, centres.shape[1])
        chosen[start : start + step] = (vectors @ centres.T).argmax(axis=1)
    return chosen
