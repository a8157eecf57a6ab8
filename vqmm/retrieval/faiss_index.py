"""The embedded index: a FAISS product quantizer whose centroids are the joint codebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet

from vqmm.errors import UserError
from vqmm.retrieval.index_folder import read_generation, write_generation
from vqmm.retrieval.protocol import Hits, Item
from vqmm.tokens import MODALITIES, check_fingerprint, vqmm_version

KEY = ("modality", "split", "id")
BYTE = 8
LARGEST_BITS = 16
DAMAGE = (KeyError, ValueError, TypeError, AttributeError, RuntimeError)


class FaissIndex:
    """Items by their slot codes, scored as `sum_s <query_s, codebook[code_s]>`, exactly.

    Nothing is trained: FAISS's centroids are set to the shared range of the joint
    codebook, once for each slot, and the codes go in as they are. A range of up to 256
    codes takes one byte a slot; a larger one is packed, 9 to 16 bits a slot. FAISS wants
    2^bits centroids: the rows past the range are zero and no code refers to them.

    Slot s of a query meets slot s of an item, so the model must have the slots layout;
    grid tokens of different modalities do not correspond.

    Args:
        codebook: f32[K, dim], vectors of the shared range; of unit length for cosine.
        slots: codes of an item.
        fingerprint: of the joint codebook (`vqmm.tokens.fingerprint`).
        first: row of the joint table at which the shared range starts.

    Raises:
        UserError: a codebook that is empty, larger than 65,536 codes, or not finite.
    """

    def __init__(self, codebook: Any, slots: int, fingerprint: str, first: int = 0):
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
        self.fingerprint = fingerprint
        self.first = int(first)
        self.bits = max(BYTE, int(len(table) - 1).bit_length())
        self.generation = 0
        self._packed = np.empty((0, (self.slots * self.bits + 7) // 8), np.uint8)
        self._items = pyarrow.table({name: pyarrow.array([], pyarrow.string()) for name in KEY})
        self._positions: dict[tuple[str, ...], int] | None = None
        self._searchers: dict[str | None, tuple[Any, npt.NDArray[np.int64]]] = {}

    def add(
        self,
        codes: Any,
        ids: Sequence[str],
        modality: str,
        split: str = "",
        metadata: Mapping[str, Sequence[str]] | None = None,
    ) -> int:
        """Adds items; see `Index.add`."""
        _check_modality(modality)
        columns = {name: [str(v) for v in values] for name, values in (metadata or {}).items()}
        names = [str(i) for i in ids]
        packed = self._pack(codes)
        lengths = {"ids": len(names), **{name: len(values) for name, values in columns.items()}}
        wrong = {name: n for name, n in lengths.items() if n != len(packed)} | {
            name: "reserved" for name in columns if name in KEY
        }
        if wrong:
            raise UserError(f"adding {len(packed)} items: {wrong} (each column has one value an item)")
        known, new = self._known(), []
        fresh: dict[tuple[str, ...], int] = {}
        for row, name in enumerate(names):
            key = (modality, split, name)
            at = known.get(key)
            before = self._packed[at] if at is not None else packed[fresh[key]] if key in fresh else None
            if before is None:
                fresh[key] = row
                new.append(row)
            elif not np.array_equal(before, packed[row]):
                raise UserError(
                    f"{modality} {name!r} (split {split!r}) is in the index with other codes; "
                    "ids name one item each: change the id, or build a new index"
                )
        if not new:
            return 0
        table = {
            "modality": [modality] * len(new),
            "split": [split] * len(new),
            "id": [names[i] for i in new],
        }
        table |= {name: [values[i] for i in new] for name, values in columns.items()}
        rows = pyarrow.table({name: pyarrow.array(v, pyarrow.string()) for name, v in table.items()})
        start = len(self._packed)
        self._items = pyarrow.concat_tables([self._items, rows], promote_options="default")
        self._packed = np.concatenate([self._packed, packed[new]])
        known.update({key: start + i for i, key in enumerate(fresh)})
        self._searchers.clear()
        return len(new)

    def count(self, modality: str | None = None) -> int:
        """Number of items, of one modality or of all."""
        return len(self._packed) if modality is None else len(self._rows(modality))

    def search(self, values: Any, k: int, modality: str | None = None) -> Hits:
        """Finds the k items with the highest scores; see `Index.search`."""
        values = np.ascontiguousarray(np.asarray(values), np.float32)
        if values.ndim != 3 or values.shape[1:] != (self.slots, self.dim):
            raise UserError(
                f"queries of shape {values.shape}; this index takes (queries, {self.slots}, {self.dim})"
            )
        if not np.isfinite(values).all():
            raise UserError("a query holds NaN or infinite values")
        held = self.count(modality)
        if not 1 <= k <= held:
            of = "" if modality is None else f" of modality {modality}"
            raise UserError(f"k={k}: the index holds {held} items{of}; k lies between 1 and that")
        searcher, rows = self._searcher(modality)
        scores, found = searcher.search(values.reshape(len(values), -1), k)
        positions = rows[found]
        order = np.lexsort((positions, -scores), axis=1)
        positions = np.take_along_axis(positions, order, axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
        return Hits(positions, scores, [self._describe(line) for line in positions])

    def codes(self) -> npt.NDArray[np.int32]:
        """All items' codes, i32[n, slots], rows of the joint codebook, in the order of addition."""
        if not len(self._packed):
            return np.empty((0, self.slots), np.int32)
        return self.first + faiss.unpack_bitstrings(self._packed, self.slots, self.bits).astype(np.int32)

    def save(self, folder: str | Path) -> None:
        """Writes `index.json`, the FAISS file and the items; see `write_generation`.

        Raises:
            UserError: another process changed the folder meanwhile, or the disk is full.
        """
        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(self._items, sink)
        facts = {
            "vqmm": vqmm_version(),
            "fingerprint": self.fingerprint,
            "slots": self.slots,
            "dim": self.dim,
            "codes": len(self.codebook),
            "first": self.first,
            "bits": self.bits,
            "count": self.count(),
            "counts": {name: self.count(name) for name in MODALITIES},
        }
        files = {
            "index.faiss": faiss.serialize_index(self._faiss(self._packed)).tobytes(),
            "items.parquet": sink.getvalue().to_pybytes(),
        }
        self.generation = write_generation(folder, self.generation, facts, files)

    @classmethod
    def open(cls, folder: str | Path, expect_fingerprint: str | None = None) -> Self:
        """Reads a saved index.

        Args:
            folder: that `save` wrote.
            expect_fingerprint: of the codebook that it must be of; None takes any.

        Raises:
            UserError: no index there, a damaged one, or one of another codebook (both
                fingerprints named).
        """
        facts, files = read_generation(folder)
        try:
            if expect_fingerprint is not None:
                check_fingerprint(folder, facts["fingerprint"], expect_fingerprint)
            stored: Any = faiss.deserialize_index(np.frombuffer(files["index.faiss"], np.uint8))
            items = pyarrow.parquet.read_table(pyarrow.BufferReader(files["items.parquet"]))
            slots, codes, dim = facts["slots"], facts["codes"], facts["dim"]
            centroids = faiss.vector_to_array(stored.pq.centroids).reshape(slots, -1, dim)
            index = cls(centroids[0, :codes], slots, facts["fingerprint"], facts["first"])
            packed = faiss.vector_to_array(stored.codes).reshape(stored.ntotal, index._packed.shape[1])
            if stored.ntotal != items.num_rows or not set(KEY) <= set(items.column_names):
                raise ValueError(f"{stored.ntotal} codes for {items.num_rows} items")
        except (
            KeyError,
            ValueError,
            TypeError,
            AttributeError,
            RuntimeError,
            pyarrow.ArrowException,
        ) as error:
            said = " ".join(str(error).split())
            raise UserError(f"the index {folder} is damaged ({said}); build it again") from None
        index.generation = facts["generation"]
        index._packed, index._items = packed, items
        return index

    def _known(self) -> dict[tuple[str, ...], int]:
        """Positions by key; made when something is first added, as searching needs none."""
        if self._positions is None:
            keys = zip(*(self._items[name].to_pylist() for name in KEY), strict=True)
            self._positions = {key: row for row, key in enumerate(keys)}
        return self._positions

    def _pack(self, codes: Any) -> npt.NDArray[np.uint8]:
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != self.slots or codes.dtype.kind not in "iu":
            raise UserError(
                f"codes of shape {codes.shape} and type {codes.dtype}; "
                f"this index takes integers (items, {self.slots})"
            )
        local = codes.astype(np.int64) - self.first
        if local.size and not (local.min() >= 0 and local.max() < len(self.codebook)):
            raise UserError(
                f"codes run from {codes.min()} to {codes.max()}; the shared range of this index is "
                f"{self.first} to {self.first + len(self.codebook) - 1}"
            )
        if not len(local):
            return np.empty_like(self._packed[:0])
        return faiss.pack_bitstrings(local, self.bits)

    def _faiss(self, packed: npt.NDArray[np.uint8]) -> Any:
        index = faiss.IndexPQ(self.slots * self.dim, self.slots, self.bits, faiss.METRIC_INNER_PRODUCT)
        centroids = np.zeros((self.slots, 2**self.bits, self.dim), np.float32)
        centroids[:, : len(self.codebook)] = self.codebook
        faiss.copy_array_to_vector(centroids.ravel(), index.pq.centroids)
        index.is_trained = True
        if len(packed):
            index.add_sa_codes(np.ascontiguousarray(packed))
        return index

    def _rows(self, modality: str) -> npt.NDArray[np.int64]:
        _check_modality(modality)
        return self._searcher(modality)[1]

    def _searcher(self, modality: str | None) -> tuple[Any, npt.NDArray[np.int64]]:
        """The FAISS index of one modality's items, and their positions among all."""
        # FAISS's IndexPQ takes no selector, so each modality gets an index of its own.
        if modality not in self._searchers:
            kinds = self._items["modality"].to_numpy()
            rows = np.arange(len(kinds)) if modality is None else np.flatnonzero(kinds == modality)
            self._searchers[modality] = (self._faiss(self._packed[rows]), rows)
        return self._searchers[modality]

    def _describe(self, positions: npt.NDArray[np.int64]) -> list[Item]:
        rows = self._items.take(positions).to_pylist()
        return [
            Item(row.pop("id"), row.pop("modality"), row.pop("split"), {k: v or "" for k, v in row.items()})
            for row in rows
        ]


def _check_modality(modality: str) -> None:
    if modality not in MODALITIES:
        raise UserError(f"modality={modality!r}; legal: {', '.join(MODALITIES)}")
