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

    Fine codes are as many sub-quantizers again, behind those of the shared codes and asked
    with the same query: inner products with a sum are sums of inner products.

    Args:
        codebook: f32[K, dim].
        slots: shared codes of an item.
        fine: f32[slots, R, dim], the tables of fine codes; None for items without.

    Raises:
        UserError: tables that are empty, larger than 65,536 codes, not finite, or that do
            not fit together.
    """

    def __init__(self, codebook: Any, slots: int, fine: Any = None):
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
        self.fine = None if fine is None else np.ascontiguousarray(np.asarray(fine), np.float32)
        tables = [np.broadcast_to(table, (self.slots, *table.shape))]
        if self.fine is not None:
            shape, (slots, _, dim) = self.fine.shape, tables[0].shape
            sizes = shape[1:2] if shape[:1] + shape[2:] == (slots, dim) else ()
            if not sizes or not 1 <= sizes[0] <= 2**LARGEST_BITS or not np.isfinite(self.fine).all():
                raise UserError(
                    f"fine tables of shape {shape}; this index takes finite ones ({slots}, 1 to "
                    f"{2**LARGEST_BITS}, {dim})"
                )
            tables.append(self.fine)
        self.bits = max(BYTE, *(int(part.shape[1] - 1).bit_length() for part in tables))
        self.columns = self.slots * len(tables)
        self.bytes_per_item = (self.columns * self.bits + 7) // 8
        centroids = np.zeros((self.columns, 2**self.bits, self.dim), np.float32)
        for place, part in enumerate(tables):
            centroids[place * self.slots : (place + 1) * self.slots, : part.shape[1]] = part
        self.quantizer = faiss.ProductQuantizer(self.columns * self.dim, self.columns, self.bits)
        faiss.copy_array_to_vector(centroids.ravel(), self.quantizer.centroids)

    def pack(self, codes: Any, first: int = 0, fine: Any = None) -> Packed:
        """Packs codes as u8[n, bytes].

        Args:
            codes: integer [n, slots], shared codes from `first` on.
            fine: integer [n, slots], rows of each slot's fine table; where there are such tables.

        Raises:
            UserError: another shape or type, codes that the tables do not have, fine codes
                missing or not wanted.
        """
        if (fine is None) != (self.fine is None):
            told = "no fine codes" if self.fine is None else "fine codes"
            raise UserError(f"this index takes items with {told}; encode with the model that it was made for")
        parts = [self._local(codes, first, len(self.codebook), "shared range")]
        if self.fine is not None:
            parts.append(self._local(fine, 0, self.fine.shape[1], "fine tables"))
            if len(parts[0]) != len(parts[1]):
                raise UserError(f"shared codes of {len(parts[0])} items, fine codes of {len(parts[1])}")
        local = np.concatenate(parts, axis=1)
        if not len(local):
            return np.empty((0, self.bytes_per_item), np.uint8)
        return faiss.pack_bitstrings(local.astype(np.int32), self.bits)

    def unpack(self, packed: Packed) -> npt.NDArray[np.int32]:
        """The shared codes again, i32[n, slots] from 0 on."""
        if not len(packed):
            return np.empty((0, self.slots), np.int32)
        whole = faiss.unpack_bitstrings(np.ascontiguousarray(packed), self.columns, self.bits)
        return whole[:, : self.slots].astype(np.int32)

    def vectors(self, packed: Packed) -> npt.NDArray[np.float32]:
        """What the codes stand for, f32[n, slots * dim]."""
        quantizer: Any = self.quantizer  # the stubs know C++'s decode alone
        parts = quantizer.decode(np.ascontiguousarray(packed))
        return parts.reshape(len(packed), -1, self.slots * self.dim).sum(axis=1)

    def wide(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Queries or centres f32[q, slots * dim] as all sub-quantizers are asked with them."""
        return np.ascontiguousarray(np.tile(values, (1, self.columns // self.slots)), np.float32)

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
        """Scores every row exactly, `sum_s <query_s, codebook[code_s] (+ fine_s[fine code_s])>`, in place.

        Args:
            packed: u8[n, bytes], contiguous; it may be mapped from a file.
            values: f32[q, slots, dim].
            k: rows to find.
        """
        queries = self.wide(values.reshape(len(values), -1))
        found = Found(np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64))
        heap = faiss.float_minheap_array_t()
        heap.nh, heap.k = len(queries), k
        heap.val, heap.ids = faiss.swig_ptr(found.scores), faiss.swig_ptr(found.rows)
        self.quantizer.search_ip(
            faiss.swig_ptr(queries), len(queries), faiss.swig_ptr(packed), len(packed), heap, True
        )
        return found

    def _local(self, codes: Any, first: int, size: int, where: str) -> npt.NDArray[np.int64]:
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != self.slots or codes.dtype.kind not in "iu":
            raise UserError(
                f"codes of shape {codes.shape} and type {codes.dtype}; "
                f"this index takes integers (items, {self.slots})"
            )
        local = codes.astype(np.int64) - first
        if local.size and not (local.min() >= 0 and local.max() < size):
            raise UserError(
                f"codes run from {codes.min()} to {codes.max()}; the {where} of this index is "
                f"{first} to {first + size - 1}"
            )
        return local
