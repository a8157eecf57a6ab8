"""How an index lies in Milvus: its collections, their fields, and conditions on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vqmm.errors import UserError
from vqmm.extras import requires_extra
from vqmm.retrieval.item_table import check_modality
from vqmm.retrieval.protocol import Where

BATCH = 1000  # rows a request
OWN = ("key", "row", "modality", "split", "id", "codes", "vector")  # fields besides the metadata
FACTS = ("fingerprint", "slots", "dim", "codes", "first")


def connect(uri: str, token: str) -> Any:
    """A client of a file or a cluster.

    Raises:
        UserError: pymilvus is not installed, or nothing answers.
    """
    with requires_extra("milvus", "a Milvus index"):
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException
    try:
        return MilvusClient(uri, token=token)
    except (MilvusException, ValueError, OSError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"no Milvus at {uri} ({said}); give FILE.db or http://host:port") from None


def create_collections(
    client: Any, name: str, codebook: npt.NDArray[np.float32], facts: Mapping[str, Any]
) -> None:
    """Makes the collection of the items, and before it that of the codebook, whose first row has the facts.

    Args:
        client: by `connect`.
        name: of the items' collection.
        codebook: f32[K, dim].
        facts: `FACTS`, to be read back by `facts_of`.
    """
    from pymilvus import DataType

    book = client.create_schema(auto_id=False, enable_dynamic_field=False)
    book.add_field("code", DataType.INT64, is_primary=True)
    book.add_field("facts", DataType.VARCHAR, max_length=1024)
    book.add_field("vector", DataType.FLOAT_VECTOR, dim=codebook.shape[1])
    flat = client.prepare_index_params()
    flat.add_index("vector", index_type="FLAT", metric_type="IP")
    if client.has_collection(f"{name}_codebook"):  # of an index that was not finished
        client.drop_collection(f"{name}_codebook")
    client.create_collection(f"{name}_codebook", schema=book, index_params=flat)
    told = json.dumps(dict(facts))
    rows = [
        {"code": code, "facts": "" if code else told, "vector": vector.tolist()}
        for code, vector in enumerate(codebook)
    ]
    for start in range(0, len(rows), BATCH):
        client.insert(f"{name}_codebook", rows[start : start + BATCH])
    items = client.create_schema(auto_id=False, enable_dynamic_field=True)
    items.add_field("key", DataType.VARCHAR, is_primary=True, max_length=4096)
    items.add_field("row", DataType.INT64)
    for field, length in (("modality", 16), ("split", 256), ("id", 4096), ("codes", 8 * facts["slots"])):
        items.add_field(field, DataType.VARCHAR, max_length=length)
    items.add_field("vector", DataType.SPARSE_FLOAT_VECTOR)
    sparse = client.prepare_index_params()
    sparse.add_index("vector", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    client.create_collection(name, schema=items, index_params=sparse)


def facts_of(client: Any, collection: str) -> dict[str, Any]:
    """What `create_collections` was told.

    Raises:
        UserError: the collection is none of ours.
    """
    from pymilvus.exceptions import MilvusException

    try:
        (row,) = client.get(f"{collection}_codebook", ids=[0], output_fields=["facts"])
        facts: dict[str, Any] = json.loads(row["facts"])
        return {name: facts[name] for name in FACTS}
    except (ValueError, KeyError, TypeError, MilvusException):
        raise UserError(f"collection {collection!r} was not made by vqmm; choose another name") from None


def codebook_of(client: Any, collection: str, facts: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """The codebook, f32[K, dim]."""
    table: npt.NDArray[np.float32] = np.empty((facts["codes"], facts["dim"]), np.float32)
    for start in range(0, len(table), BATCH):
        numbers = list(range(start, min(start + BATCH, len(table))))
        for row in client.get(f"{collection}_codebook", ids=numbers, output_fields=["code", "vector"]):
            table[row["code"]] = row["vector"]
    return table


def filter_of(modality: str | None, where: Where | None) -> str:
    """The conditions in Milvus's language; "" where there are none."""
    conditions: list[tuple[str, Any]] = list((where or {}).items())
    if modality is not None:
        check_modality(modality)
        conditions.append(("modality", modality))
    parts = []
    for column, wanted in conditions:
        values = [wanted] if isinstance(wanted, str) else list(wanted)
        if column.isidentifier():
            parts.append(f"{column} in {json.dumps(values, ensure_ascii=False)}")
        else:  # Milvus Lite takes no `in` after a key in brackets
            field = f"$meta[{json.dumps(column, ensure_ascii=False)}]"
            equal = [f"{field} == {json.dumps(value, ensure_ascii=False)}" for value in values]
            parts.append(f"({' or '.join(equal)})")
    return " and ".join(parts)
