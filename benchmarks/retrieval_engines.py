"""Engines to compare: ours, and FAISS's own with centroids of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from benchmarks.retrieval_data import Draw, Floats, Latents, nearest_codes, nearest_fine
from vqmm.retrieval import FaissIndex

BYTES = 8  # bits of a trained centroid's number, as ours

Search = Callable[[Floats, int], tuple[npt.NDArray[np.int64], Floats]]


class Engine(NamedTuple):
    """One way to search.

    Attributes:
        name: for the table.
        search: from values f32[q, slots, dim] and k to rows i64[q, k] and scores f32[q, k].
        bytes_per_item: of what is searched, as saved; names and labels of items are not in it.
        build_seconds: to train, add and sort, without making the items.
        probes: sets how many lists are scanned; None where there are none.
    """

    name: str
    search: Search
    bytes_per_item: float
    build_seconds: float
    probes: Callable[[int], None] | None = None


def our_index(
    draw: Draw, latents: Latents, slots: int, vectors: bool = False, fine: bool = False
) -> tuple[FaissIndex, float]:
    """The flat index of a draw, with vectors or fine codes if so wished, and the seconds it took."""
    tables = latents.fine if fine else None
    index = FaissIndex(latents.codebook, slots, "0" * 16, vectors=vectors, fine=tables)
    spent, start = 0.0, 0
    for block in draw.blocks():
        codes = nearest_codes(block, latents.codebook)
        more = nearest_fine(block, codes, latents) if fine else None
        names = [str(i) for i in range(start, start + len(block))]
        began = time.perf_counter()
        index.add(codes, names, "image", "test", vectors=block if vectors else None, fine=more)
        spent += time.perf_counter() - began
        start += len(block)
    return index, spent


def ours(index: FaissIndex, seconds: float, name: str, lists: int = 0, rerank: int = 0) -> Engine:
    """Our index as it is asked in practice: what it returns has the items' names and labels."""
    began = time.perf_counter()
    index.set_lists(lists)
    seconds += time.perf_counter() - began

    def search(values: Floats, k: int) -> tuple[npt.NDArray[np.int64], Floats]:
        hits = index.search(values, k, rerank=rerank)
        return hits.positions, hits.scores

    def probes(number: int) -> None:
        index.probes = number

    with TemporaryDirectory() as folder:
        index.save(folder)
        kinds = ["codes", "lists", "members", "codebook", *(["vectors"] if rerank else [])]
        size = sum(path.stat().st_size for kind in kinds for path in Path(folder).glob(f"{kind}-*"))
    return Engine(name, search, size / index.count(), seconds, probes if lists else None)


def peer(name: str, make: Callable[[int], Any], draw: Draw, train: Floats | None) -> Engine:
    """A FAISS index over the continuous vectors.

    Args:
        name: for the table.
        make: from the length of a vector to an empty index.
        draw: the items.
        train: f32[n, slots, dim] to train on; None where there is nothing to train.
    """
    spent = 0.0
    index: Any = None
    for block in draw.blocks():
        flat = block.reshape(len(block), -1)
        began = time.perf_counter()
        if index is None:
            index = make(flat.shape[1])
            if train is not None:
                index.train(train.reshape(len(train), -1))
        index.add(flat)
        spent += time.perf_counter() - began

    def search(values: Floats, k: int) -> tuple[npt.NDArray[np.int64], Floats]:
        scores, rows = index.search(values.reshape(len(values), -1), k)
        return rows, scores

    def probes(number: int) -> None:
        index.nprobe = number

    size = len(faiss.serialize_index(index)) / draw.items
    return Engine(name, search, size, spent, probes if isinstance(index, faiss.IndexIVF) else None)


def flat(dim: int) -> Any:
    return faiss.IndexFlatIP(dim)


def trained_pq(columns: int) -> Callable[[int], Any]:
    return lambda dim: faiss.IndexPQ(dim, columns, BYTES, faiss.METRIC_INNER_PRODUCT)


def trained_ivf_pq(slots: int, lists: int) -> Callable[[int], Any]:
    def make(dim: int) -> Any:
        coarse = faiss.IndexFlatIP(dim)
        index: Any = faiss.IndexIVFPQ(coarse, dim, lists, slots, BYTES, faiss.METRIC_INNER_PRODUCT)
        index.cp.spherical = True
        index.cp.niter = 10
        return index

    return make


def hnsw_pq(slots: int) -> Callable[[int], Any]:
    """The leanest graph: eight links an item over codes of the same size, not the same memory."""

    def make(dim: int) -> Any:
        kinds: Any = faiss  # whose stubs lack this form
        index = kinds.IndexHNSWPQ(dim, slots, 8, BYTES, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 40
        index.hnsw.efSearch = 64
        return index

    return make
