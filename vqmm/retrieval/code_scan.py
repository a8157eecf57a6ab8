"""Codes as packed bytes, and FAISS's scan over them."""

from __future__ import annotations

from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from vqmm.errors import UserError

BYTE = 8
LARGEST_BITS = 16
Packed = npt.NDArray[np.uint8]


class Found(NamedTuple):
    """The best rows for each query, best first; -1 where there are fewer.

    Attributes:
        scores: f32[q, k].
        rows: i64[q, k].
    """

    scores: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]


class CodeScan:
    """A FAISS product quantizer whose centroids are a codebook, once for each slot.

    Nothing is trained. A codebook of up to 256 codes takes one byte a slot; a larger one
    is packed, 9 to 16 bits a slot. FAISS wants 2^bits centroids: the rows past the
    codebook are zero and no code refers to them.

    Args:
        codebook: f32[K, dim].
        slots: codes of an item.

    Raises:
        UserError: a codebook that is empty, larger than 65,536 codes, or not finite.
    """

    def __init__(self, codebook: Any, slots: int):
        table = np.ascontiguousarray(np.asarray(codebook), np.float32)
        if table.ndim != 2 or not 1 <= len(table) <= 2**LARGEST_BITS or not np.isfinite(table).all():
            raise UserError(
                f"an index takes a finite codebook of 1 to {2**LARGEST_BITS} codes x dim, got {table.shape}"
            )
        if slots < 1:
            raise UserError(f"slots={slots}; an item has at least 1")
        self.codebook = table
        self.slots = int(slots)
        self.dim = table.shape[1]
        self.bits = max(BYTE, int(len(table) - 1).bit_length())
        self.bytes_per_item = (self.slots * self.bits + 7) // 8
        centroids = np.zeros((self.slots, 2**self.bits, self.dim), np.float32)
        centroids[:, : len(table)] = table
        self.quantizer = faiss.ProductQuantizer(self.slots * self.dim, self.slots, self.bits)
        faiss.copy_array_to_vector(centroids.ravel(), self.quantizer.centroids)

    def pack(self, codes: Any, first: int = 0) -> Packed:
        """Packs codes, integer [n, slots] from `first` on, as u8[n, bytes].

        Raises:
            UserError: another shape or type, or codes that the codebook does not have.
        """
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != self.slots or codes.dtype.kind not in "iu":
            raise UserError(
                f"codes of shape {codes.shape} and type {codes.dtype}; "
                f"this index takes integers (items, {self.slots})"
            )
        local = codes.astype(np.int64) - first
        if local.size and not (local.min() >= 0 and local.max() < len(self.codebook)):
            raise UserError(
                f"codes run from {codes.min()} to {codes.max()}; the shared range of this index is "
                f"{first} to {first + len(self.codebook) - 1}"
            )
        if not len(local):
            return np.empty((0, self.bytes_per_item), np.uint8)
        return faiss.pack_bitstrings(local, self.bits)

    def unpack(self, packed: Packed) -> npt.NDArray[np.int32]:
        """The codes again, i32[n, slots] from 0 on."""
        if not len(packed):
            return np.empty((0, self.slots), np.int32)
        return faiss.unpack_bitstrings(np.ascontiguousarray(packed), self.slots, self.bits).astype(np.int32)

    def queries(self, values: Any) -> npt.NDArray[np.float32]:
        """Checks queries and makes them f32[q, slots, dim].

        Raises:
            UserError: another shape, or values that are not finite.
        """
        values = np.ascontiguousarray(np.asarray(values), np.float32)
        if values.ndim != 3 or values.shape[1:] != (self.slots, self.dim):
            raise UserError(
                f"queries of shape {values.shape}; this index takes (queries, {self.slots}, {self.dim})"
            )
        if not np.isfinite(values).all():
            raise UserError("a query holds NaN or infinite values")
        return values

    def search(self, packed: Packed, values: npt.NDArray[np.float32], k: int) -> Found:
        """Scores every row exactly, `sum_s <query_s, codebook[code_s]>`, without copying any.

        Args:
            packed: u8[n, bytes], contiguous; it may be mapped from a file.
            values: f32[q, slots, dim].
            k: rows to find.
        """
        queries = np.ascontiguousarray(values, np.float32).reshape(len(values), -1)
        found = Found(np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64))
        heap = faiss.float_minheap_array_t()
        heap.nh, heap.k = len(queries), k
        heap.val, heap.ids = faiss.swig_ptr(found.scores), faiss.swig_ptr(found.rows)
        self.quantizer.search_ip(
            faiss.swig_ptr(queries), len(queries), faiss.swig_ptr(packed), len(packed), heap, True
        )
        return found
