"""The embedded index: FAISS over the codes, with the joint codebook as its centroids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow

from vqmm.errors import UserError
from vqmm.retrieval.code_scan import CodeScan, Packed
from vqmm.retrieval.code_usage import CodeUsage, code_usage_of
from vqmm.retrieval.index_folder import Content, Stored, read_generation, write_generation
from vqmm.retrieval.inverted_lists import InvertedLists
from vqmm.retrieval.item_table import ItemTable, check_modality, checked_columns
from vqmm.retrieval.protocol import Hits, Where
from vqmm.retrieval.searcher import Searcher
from vqmm.retrieval.vector_store import VectorStore
from vqmm.system_errors import is_exhausted, mend_of
from vqmm.tokens import MODALITIES, check_fingerprint
from vqmm.version import __version__

LARGE = 2**28  # bytes of codes and vectors from which files are mapped and no longer read
PARTS = 32  # additions after which saving compacts
UNLISTED = 20_000, 0.1  # rows behind the lists, and their share, past which saving makes the lists anew
PROBES = 16  # the default is lists / PROBES
DAMAGE = (KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError, pyarrow.ArrowException)


class FaissIndex:
    """Items by their slot codes, scored as `sum_s <query_s, codebook[code_s]>`.

    With `fine`, each slot's vector is that of its shared code and of its fine code together.
    Nothing is trained: FAISS's centroids are set to the shared range of the joint
    codebook (`CodeScan`). Every item is scored, or with `lists` the items of the lists
    nearest to the query (`InvertedLists`); what was added since they were made is
    scanned beside them.

    Slot s of a query meets slot s of an item: the model must have the slots layout.

    Args:
        codebook: f32[K, dim], vectors of the shared range; of unit length for cosine.
        slots: codes of an item.
        fingerprint: of the model that made the codes (`vqmm.tokens.fingerprint`).
        first: row of the joint table at which the shared range starts.
        vectors: keep continuous vectors beside the codes, for re-ranking.
        fine: f32[slots, R, dim], the tables of fine codes; None for items of shared codes alone.

    Attributes:
        lists: how many inverted lists `save` makes; 0 for a flat scan. See `set_lists`.
        probes: lists that a search scans.

    Raises:
        UserError: tables that are empty, larger than 65,536 codes, or not finite.
    """

    def __init__(
        self,
        codebook: Any,
        slots: int,
        fingerprint: str,
        first: int = 0,
        vectors: bool = False,
        fine: Any = None,
    ):
        self._scan = CodeScan(codebook, slots, fine)
        self.codebook, self.slots, self.dim = self._scan.codebook, self._scan.slots, self._scan.dim
        self.bits = self._scan.bits
        self.fingerprint, self.first = fingerprint, int(first)
        self.generation = self.lists = self.probes = 0
        self._packed: Packed = np.empty((0, self._scan.bytes_per_item), np.uint8)
        self._items = ItemTable()
        self._vectors = VectorStore(self.slots, self.dim) if vectors else None
        self._inverted: InvertedLists | None = None
        self._saved_lists: InvertedLists | None = None
        self._searcher: Searcher | None = None
        self._code_usage: CodeUsage | None = None
        self._home: Path | None = None  # folder that holds the first `_saved` rows, in `_parts` parts
        self._saved = self._parts = 0

    @property
    def holds_vectors(self) -> bool:
        """Whether continuous vectors stand beside the codes."""
        return self._vectors is not None

    @property
    def holds_fine(self) -> bool:
        """Whether items have fine codes beside the shared ones."""
        return self._scan.fine is not None

    @property
    def bytes_per_item(self) -> int:
        """Bytes of codes and, where they are kept, vectors of an item."""
        return self._scan.bytes_per_item + (2 * self.slots * self.dim if self.holds_vectors else 0)

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
        """Adds items; see `Index.add`."""
        check_modality(modality)
        packed = self._scan.pack(codes, self.first, fine)
        names, columns = checked_columns(ids, metadata or {}, len(packed))
        if (vectors is not None) != self.holds_vectors:
            told = "holds" if self.holds_vectors else "holds no"
            raise UserError(f"this index {told} vectors: all its items come with them or none does")
        half = None if self._vectors is None else self._vectors.half(vectors, len(packed))
        held = self._items.positions(names, modality, split)
        stale = set() if metadata is None else self._stale(held, names, columns)
        fresh: dict[str, int] = {}
        for row, name in enumerate(names):
            before = self._packed[held[name][0]] if name in held else packed[fresh.setdefault(name, row)]
            if not np.array_equal(before, packed[row]):
                raise UserError(
                    f"{modality} {name!r} (split {split!r}) is in the index with other codes; "
                    "ids name one item each: change the id, remove the item, or build a new index"
                )
            if name in stale or name not in held:
                fresh[name] = row  # of what one call names twice, the last counts, as in two calls
        if not fresh:
            return 0
        new = list(fresh.values())
        self._items.removed[[row for name in stale for row in held[name]]] = True
        self._items.append(
            list(fresh), modality, split, {name: [v[i] for i in new] for name, v in columns.items()}
        )
        self._packed = np.concatenate([self._packed, packed[new]])
        if self._vectors is not None and half is not None:
            self._vectors.append(half[new])
        self._changed()
        return len(new) - len(stale)

    def copies_elsewhere(
        self, codes: Any, ids: Sequence[str], modality: str, split: str, fine: Any = None
    ) -> dict[str, list[str]]:
        """Finds items under the same names with the same codes in other splits; see the protocol."""
        check_modality(modality)
        packed = self._scan.pack(codes, self.first, fine)
        row_of = {str(name): row for row, name in enumerate(ids)}
        held = self._items.positions(list(row_of), modality, None)
        rows = np.array([row for rows in held.values() for row in rows], np.int64)
        found: dict[str, list[str]] = {}
        for row, item in zip(rows.tolist(), self._items.describe(rows), strict=True):
            if item.split != split and np.array_equal(self._packed[row], packed[row_of[item.id]]):
                found.setdefault(item.split, []).append(item.id)
        return found

    def _stale(
        self, held: Mapping[str, list[int]], names: Sequence[str], columns: Mapping[str, Sequence[str]]
    ) -> set[str]:
        """Names of items that are there with other metadata than those that are given now."""
        rows = np.array([rows[0] for rows in held.values()], np.int64)
        before = {item.id: item.metadata for item in self._items.describe(rows)}
        row_of = {name: row for row, name in enumerate(names)}
        return {
            name
            for name, metadata in before.items()
            if {key: value for key, value in metadata.items() if value}
            != {key: values[row_of[name]] for key, values in columns.items() if values[row_of[name]]}
        }

    def remove(self, ids: Sequence[str], modality: str | None = None, split: str | None = None) -> int:
        """Removes items by name; see `Index.remove`."""
        rows = self._items.named([str(i) for i in ids], modality, split)
        self._items.removed[rows] = True
        self._changed()
        return len(rows)

    def count(self, modality: str | None = None, where: Where | None = None) -> int:
        """Number of items that meet all conditions."""
        if where:
            return len(self._search().select(modality, where).packed)
        if modality is not None:
            check_modality(modality)
        return self._search().counts[modality]  # no scan: a service asks this at each health check

    def set_lists(self, lists: int, probes: int | None = None) -> None:
        """Makes inverted lists over all items, or goes back to the flat scan.

        Args:
            lists: how many, at most one for each different item; 0: flat.
            probes: lists that a search scans; None: a sixteenth of them, at least 1.

        Raises:
            UserError: negative lists, or probes below 1.
        """
        if lists < 0 or (probes is not None and probes < 1):
            raise UserError(f"lists={lists}, probes={probes}; 0 lists or more, 1 probe or more")
        self.lists, self._inverted = lists, None
        if lists and len(self._packed):
            self._inverted = InvertedLists.build(self._scan, self._packed, lists)
        self.probes = probes or -(-lists // PROBES)
        self._changed()

    def search(
        self,
        values: Any,
        k: int,
        modality: str | None = None,
        where: Where | None = None,
        rerank: int = 0,
        probes: int | None = None,
    ) -> Hits:
        """Finds the k items with the highest scores; see `Index.search`.

        Args:
            values, k, modality, where, rerank: as there.
            probes: lists to scan; None: `probes` of the index.
        """
        values = self._scan.queries(values)
        searcher = self._search()
        chosen = searcher.select(modality, where)
        held = len(chosen.packed)
        if not 1 <= k <= held:
            of = "" if modality is None else f" of modality {modality}"
            of += " that meet the conditions" if where else ""
            raise UserError(f"k={k}: the index holds {held} items{of}; k lies between 1 and that")
        if rerank and not self.holds_vectors:
            raise UserError("re-ranking takes vectors, which this index does not hold; index with vectors")
        found = searcher.find(values, min(max(k, rerank), held), chosen, probes or self.probes)
        if rerank:
            found = searcher.rescored(values, found)
        order = np.lexsort((found.rows, -found.scores), axis=1)[:, :k]
        positions = np.take_along_axis(found.rows, order, axis=1)
        scores = np.take_along_axis(found.scores, order, axis=1)
        items = self._items.describe(positions.ravel())
        return Hits(positions, scores, [items[i * k : (i + 1) * k] for i in range(len(positions))])

    def codes(self) -> npt.NDArray[np.int32]:
        """The shared codes of every position, i32[n, slots], rows of the joint codebook; removed ones too."""
        return self.first + self._scan.unpack(self._packed)

    def usage(self) -> npt.NDArray[np.int64]:
        """How many slots of items have each code of the shared range, i64[K]."""
        packed = self._search().select(None, None).packed
        return np.bincount(self._scan.unpack(packed).ravel(), minlength=len(self.codebook))

    def code_usage(self) -> CodeUsage:
        """How many codes the items use; of an index as it was opened, what was counted when it was saved."""
        if self._code_usage is None:
            self._code_usage = code_usage_of(self._scan, self._search().select(None, None).packed)
        return self._code_usage

    def compact(self) -> None:
        """Drops what was removed; positions change. `save` does so when much was removed."""
        keep = np.flatnonzero(~self._items.removed)
        self._packed = self._packed[keep]
        self._items = self._items.keep(keep)
        if self._vectors is not None:
            self._vectors.select(keep)
        self._saved = self._parts = 0
        self.set_lists(self.lists, self.probes or None)

    def save(self, folder: str | Path) -> None:
        """Writes what is new since `open`, or everything into a new folder; see `write_generation`.

        Compacts first when more than a quarter of the rows was removed, or after many additions.

        Raises:
            UserError: another process changed the folder meanwhile, or the disk is full.
        """
        home = Path(folder).resolve()
        here = self._home in (None, home)
        if 4 * int(self._items.removed.sum()) > len(self._packed) or self._parts >= PARTS:
            self.compact()
        total, saved = len(self._packed), self._saved if here else 0
        least, share = UNLISTED
        if self.lists and total - self._listed() > (max(least, share * total) if self._inverted else 0):
            self.set_lists(self.lists, self.probes)
        files: dict[str, Content | None] = {"removed.bin": Content([np.flatnonzero(self._items.removed)])}
        if not saved:
            fine = [] if self._scan.fine is None else [self._scan.fine]
            files["codebook.bin"] = Content([self.codebook, *fine])
        if not saved or total > saved:
            files["codes.bin"] = Content([np.ascontiguousarray(self._packed[saved:])], "append")
            files["items.parquet"] = Content([self._items.parquet(saved)], "beside")
        if self._vectors is not None and total > saved:
            files["vectors.bin"] = Content(self._vectors.blocks(saved), "append")
        if self._inverted is None:
            files["lists.faiss"] = files["members.bin"] = None
        elif not saved or self._inverted is not self._saved_lists:
            lists, members = self._inverted.to_bytes()
            files |= {"lists.faiss": Content([lists]), "members.bin": Content(members)}
        before = self.generation if here else 0
        self.generation = write_generation(home, before, self._facts(), files, keep=saved > 0)
        self._parts = ("items.parquet" in files) + (self._parts if saved else 0)
        self._home, self._saved, self._saved_lists = home, total, self._inverted

    @classmethod
    def open(
        cls, folder: str | Path, expect_fingerprint: str | None = None, mapped: bool | None = None
    ) -> Self:
        """Reads a saved index.

        Args:
            folder: that `save` wrote.
            expect_fingerprint: of the codebook that it must be of; None takes any.
            mapped: codes, vectors and lists are mapped into memory and read as searches
                need them, and only their lengths are checked; None: where they are large.

        Raises:
            UserError: no index there, a damaged one, or one of another codebook (both
                fingerprints named).
        """
        stored = read_generation(folder, LARGE if mapped is None else 0 if mapped else None)
        try:
            if expect_fingerprint is not None:
                check_fingerprint(folder, stored.facts["fingerprint"], expect_fingerprint)
            index = cls._from_stored(stored)
        except DAMAGE as error:
            said = " ".join(str(error).split())
            if is_exhausted(error):  # FAISS reports what the system refused as it does damage
                raise UserError(f"the index {folder} cannot be read ({said}); {mend_of(error)}") from None
            raise UserError(f"the index {folder} is damaged ({said}); build it again") from None
        index._home = Path(folder).resolve()
        return index

    @classmethod
    def _from_stored(cls, stored: Stored) -> Self:
        facts, files = stored
        codes, fine, slots, dim = (int(facts.get(name, 0)) for name in ("codes", "fine", "slots", "dim"))
        tables = files["codebook.bin"][0].view(np.float32)
        if tables.size != (codes + slots * fine) * dim:
            raise ValueError(
                f"{tables.size} numbers of codebook for {codes} codes and {fine} fine ones a slot"
            )
        more = tables[codes * dim :].reshape(slots, fine, dim) if fine else None
        made = facts["fingerprint"], facts["first"], facts["vectors"], more
        index = cls(tables[: codes * dim].reshape(codes, dim), slots, *made)
        index._packed = files["codes.bin"][0].reshape(-1, index._scan.bytes_per_item)
        removed = files["removed.bin"][0].view(np.int64)
        index._items = ItemTable.from_parquet(files["items.parquet"], removed)
        if index._vectors is not None:
            content = files["vectors.bin"][0] if "vectors.bin" in files else None
            index._vectors = VectorStore(index.slots, index.dim, content)
        if "lists.faiss" in files:
            parts = files["lists.faiss"][0], files["members.bin"][0]
            index._inverted = index._saved_lists = InvertedLists.read(*parts)
        index.lists, index.probes, index.generation = facts["lists"], facts["probes"], facts["generation"]
        if "code_usage" in facts:  # not in indexes of version 0.1
            index._code_usage = CodeUsage(**facts["code_usage"])
        index._saved, index._parts = facts["rows"], len(facts["files"]["items.parquet"])
        rows = [len(index._packed), len(index._items)]
        rows += [] if index._vectors is None else [len(index._vectors)]
        if set(rows) != {facts["rows"]} or index._listed() > facts["rows"]:
            raise ValueError(f"{facts['rows']} rows, but {rows} in its files")
        return index

    def _facts(self) -> dict[str, Any]:
        return {
            "vqmm": __version__,
            "fingerprint": self.fingerprint,
            "slots": self.slots,
            "dim": self.dim,
            "codes": len(self.codebook),
            "fine": 0 if self._scan.fine is None else self._scan.fine.shape[1],
            "first": self.first,
            "bits": self.bits,
            "vectors": self.holds_vectors,
            "lists": self.lists,
            "probes": self.probes,
            "rows": len(self._packed),
            "count": self.count(),
            "counts": {name: self.count(name) for name in MODALITIES},
            "code_usage": self.code_usage()._asdict(),
        }

    def _listed(self) -> int:
        return 0 if self._inverted is None else self._inverted.rows

    def _changed(self) -> None:
        """Forgets what was counted and chosen among the items before."""
        self._searcher = self._code_usage = None

    def _search(self) -> Searcher:
        if self._searcher is None:
            self._searcher = Searcher(self._scan, self._packed, self._items, self._vectors, self._inverted)
        return self._searcher
