"""The same index in Milvus: a file (Milvus Lite) or a cluster, by URI."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from vqmm.errors import UserError
from vqmm.retrieval.code_scan import CodeScan
from vqmm.retrieval.item_table import check_modality, checked_columns
from vqmm.retrieval.milvus_schema import (
    BATCH,
    FACTS,
    OWN,
    codebook_of,
    connect,
    create_collections,
    facts_of,
    filter_of,
)
from vqmm.retrieval.protocol import Hits, Item, Where
from vqmm.tokens import check_fingerprint

MOST_HITS = 16_384  # that Milvus returns for a query


class MilvusIndex:
    """Items by their slot codes in a Milvus collection, scored as `FaissIndex` scores them.

    An item is a sparse vector with a one for each slot's code, a query the table of its
    slots' scores with all codes; their inner product is the sum over slots. Milvus wants
    weights above zero, so each slot's are raised by the same number, which every item
    then has in its score and which is taken off again. Fine codes are not kept.

    Rows are there once `add` returns; an addition that was killed is finished by
    repeating it. Equal scores past the k-th come as Milvus has them. Vectors for
    re-ranking are not kept.

    Args:
        uri: a file name ending in `.db`, or `http://host:port`.
        codebook: f32[K, dim], vectors of the shared range.
        slots: codes of an item.
        fingerprint: of the model that made the codes.
        first: row of the joint table at which the shared range starts.
        collection: name of the collection; the codebook's has `_codebook` behind it.
        token: `user:password` or a key, where the cluster asks for one.

    Raises:
        UserError: pymilvus is not installed, nothing answers, or the collection is there
            with another codebook.
    """

    def __init__(
        self,
        uri: str,
        codebook: Any,
        slots: int,
        fingerprint: str,
        first: int = 0,
        collection: str = "vqmm",
        token: str = "",
    ):
        self._scan = CodeScan(codebook, slots)
        self.codebook, self.slots, self.dim = self._scan.codebook, self._scan.slots, self._scan.dim
        self.fingerprint, self.first = fingerprint, int(first)
        self.uri, self.collection = uri, collection
        self._client = connect(uri, token)
        if self._client.has_collection(collection):
            check_fingerprint(
                f"{uri} ({collection})", facts_of(self._client, collection)["fingerprint"], fingerprint
            )
        else:
            facts = (fingerprint, self.slots, self.dim, len(self.codebook), self.first)
            create_collections(self._client, collection, self.codebook, dict(zip(FACTS, facts, strict=True)))

    @property
    def holds_vectors(self) -> bool:
        """Never."""
        return False

    @property
    def holds_fine(self) -> bool:
        """Never."""
        return False

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
        if vectors is not None:
            raise UserError("this index holds no vectors; FaissIndex does")
        packed = self._scan.pack(codes, self.first, fine)
        names, columns = checked_columns(ids, metadata or {}, len(packed))
        if taken := set(columns) & set(OWN):
            raise UserError(f"columns {', '.join(sorted(taken))} are this index's own; rename them")
        local = self._scan.unpack(packed)
        texts = [" ".join(map(str, line)) for line in local]
        keys = [json.dumps([modality, split, name]) for name in names]
        held: dict[str, dict[str, Any]] = {}
        for start in range(0, len(keys), BATCH):
            found = self._client.get(self.collection, ids=keys[start : start + BATCH], output_fields=["*"])
            held |= {row["key"]: row for row in found}
        fresh: dict[str, int] = {}
        for row, key in enumerate(keys):
            known = held[key]["codes"] if key in held else texts[fresh.setdefault(key, row)]
            if known != texts[row]:
                raise UserError(
                    f"{modality} {names[row]!r} (split {split!r}) is in the index with other codes; "
                    "ids name one item each: change the id, remove the item, or build a new index"
                )
            given = {name: values[row] for name, values in columns.items()}
            if key not in held or (metadata is not None and _filled(given) != _filled(_extra(held[key]))):
                fresh[key] = row  # of what one call names twice, the last counts, as in two calls
        now = time.time_ns()  # a row's number: later additions have higher ones, whoever makes them
        rows = [
            {
                "key": key,
                "row": now + number,
                "modality": modality,
                "split": split,
                "id": names[at],
                "codes": texts[at],
                "vector": {slot * len(self.codebook) + int(code): 1.0 for slot, code in enumerate(local[at])},
                **{name: values[at] for name, values in columns.items()},
            }
            for number, (key, at) in enumerate(fresh.items())
        ]
        for start in range(0, len(rows), BATCH):
            self._client.upsert(self.collection, rows[start : start + BATCH])
        return len(rows) - len(fresh.keys() & held.keys())

    def copies_elsewhere(
        self, codes: Any, ids: Sequence[str], modality: str, split: str, fine: Any = None
    ) -> dict[str, list[str]]:
        """Finds items under the same names with the same codes in other splits; see the protocol."""
        local = self._scan.unpack(self._scan.pack(codes, self.first, fine))
        texts = {str(name): " ".join(map(str, line)) for name, line in zip(ids, local, strict=True)}
        names = list(texts)
        found: dict[str, list[str]] = {}
        for start in range(0, len(names), BATCH):
            rows = self._client.query(
                self.collection,
                filter=filter_of(modality, {"id": names[start : start + BATCH]}),
                output_fields=["id", "split", "codes"],
                limit=MOST_HITS,
                consistency_level="Strong",
            )
            for row in rows:
                if row["split"] != split and row["codes"] == texts[row["id"]]:
                    found.setdefault(row["split"], []).append(row["id"])
        return found

    def remove(self, ids: Sequence[str], modality: str | None = None, split: str | None = None) -> int:
        """Removes items by name; see `Index.remove`."""
        names = list(dict.fromkeys(str(i) for i in ids))
        rows: list[dict[str, Any]] = []
        for start in range(0, len(names), BATCH):
            where: dict[str, str | Sequence[str]] = {"id": names[start : start + BATCH]}
            where |= {} if split is None else {"split": split}
            rows += self._client.query(
                self.collection,
                filter=filter_of(modality, where),
                output_fields=["key", "id"],
                limit=MOST_HITS,
                consistency_level="Strong",
            )
        missing = [name for name in names if name not in {row["id"] for row in rows}]
        if missing:
            raise UserError(
                f"the index holds no {', '.join(map(repr, missing[:5]))} "
                f"({len(missing)} of {len(names)} names); nothing is removed"
            )
        keys = [row["key"] for row in rows]
        for start in range(0, len(keys), BATCH):
            self._client.delete(self.collection, ids=keys[start : start + BATCH])
        return len(rows)

    def count(self, modality: str | None = None, where: Where | None = None) -> int:
        """Number of items that meet all conditions; a column that none has is met by none."""
        found = self._client.query(
            self.collection,
            filter=filter_of(modality, where),
            output_fields=["count(*)"],
            consistency_level="Strong",
        )
        return int(found[0]["count(*)"])

    def search(
        self,
        values: Any,
        k: int,
        modality: str | None = None,
        where: Where | None = None,
        rerank: int = 0,
    ) -> Hits:
        """Finds the k items with the highest scores; see `Index.search`."""
        values = self._scan.queries(values)
        if rerank:
            raise UserError("re-ranking takes vectors, which a Milvus index does not hold")
        held = self.count(modality, where)
        if not 1 <= k <= min(held, MOST_HITS):
            raise UserError(
                f"k={k}: the index holds {held} such items and returns {MOST_HITS} at most; "
                "k lies between 1 and that"
            )
        weights = values @ self.codebook.T
        raised = 1.0 - weights.min(axis=(1, 2))
        weights = (weights + raised[:, None, None]).reshape(len(values), -1)
        answers = self._client.search(
            self.collection,
            data=[dict(enumerate(line.tolist())) for line in weights],
            anns_field="vector",
            filter=filter_of(modality, where),
            limit=k,
            output_fields=["*"],
            search_params={"metric_type": "IP"},
            consistency_level="Strong",
        )
        rows = np.array([[hit["entity"]["row"] for hit in line] for line in answers], np.int64)
        scores = np.array([[hit["distance"] for hit in line] for line in answers], np.float32)
        scores -= self.slots * raised[:, None].astype(np.float32)
        order = np.lexsort((rows, -scores), axis=1)
        items = [[_item(hit["entity"]) for hit in line] for line in answers]
        return Hits(
            np.take_along_axis(rows, order, axis=1),
            np.take_along_axis(scores, order, axis=1),
            [[line[i] for i in best] for line, best in zip(items, order.tolist(), strict=True)],
        )

    def save(self, folder: str | Path) -> None:
        """Asks the server to write what it still holds in memory.

        Args:
            folder: the index's own URI.

        Raises:
            UserError: another one.
        """
        if str(folder) != self.uri:
            raise UserError(f"this index lives in {self.uri}; it is not saved to {folder}")
        self._client.flush(self.collection)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        expect_fingerprint: str | None = None,
        collection: str = "vqmm",
        token: str = "",
    ) -> Self:
        """Connects to an index that is there; `folder` is its URI.

        Raises:
            UserError: none is there, or it is of another codebook.
        """
        uri = str(folder)
        client = connect(uri, token)
        if not client.has_collection(collection):
            raise UserError(f"{uri} holds no collection {collection!r}; make a MilvusIndex there first")
        facts = facts_of(client, collection)
        if expect_fingerprint is not None:
            check_fingerprint(f"{uri} ({collection})", facts["fingerprint"], expect_fingerprint)
        table = codebook_of(client, collection, facts)
        return cls(uri, table, facts["slots"], facts["fingerprint"], facts["first"], collection, token)


def _item(entity: Mapping[str, Any]) -> Item:
    return Item(entity["id"], entity["modality"], entity["split"], _extra(entity))


def _extra(entity: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of a row: its fields that are not this index's own."""
    return {name: str(value) for name, value in entity.items() if name not in OWN}


def _filled(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if value}
