"""Items that are added again take what is new of them, in FAISS and in Milvus alike."""

import numpy as np
import pytest

from vqmm.retrieval import FaissIndex, milvus_index
from vqmm.retrieval.milvus_index import MilvusIndex

TABLE = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
CODES = np.array([[0, 1], [2, 3], [4, 5]])
NAMES = ["a", "b", "c"]


class Client:
    """As much of a Milvus client as additions and removals ask of it."""

    def __init__(self):
        self.rows = {}

    def has_collection(self, name):
        return True

    def get(self, collection, ids, output_fields):
        return [dict(self.rows[key]) for key in ids if key in self.rows]

    def upsert(self, collection, rows):
        self.rows |= {row["key"]: row for row in rows}

    insert = upsert

    def delete(self, collection, ids):
        for key in ids:
            del self.rows[key]

    def query(self, collection, filter, output_fields, **_):
        found = [row for row in self.rows.values() if not filter or eval(filter, {}, dict(row))]
        return [{"count(*)": len(found)}] if output_fields == ["count(*)"] else found


@pytest.fixture(params=["faiss", "milvus"])
def index(request, monkeypatch):
    if request.param == "faiss":
        return FaissIndex(TABLE, 2, "f" * 16)
    monkeypatch.setattr(milvus_index, "connect", lambda uri, token: Client())
    monkeypatch.setattr(milvus_index, "facts_of", lambda client, name: {"fingerprint": "f" * 16})
    return MilvusIndex("items.db", TABLE, 2, "f" * 16)


def metadata_of(index):
    """Filled metadata by name and split."""
    if isinstance(index, MilvusIndex):
        items = [milvus_index._item(row) for row in index._client.rows.values()]
    else:
        items = index.search(np.ones((1, 2, 4), np.float32), index.count()).items[0]
    return {(i.id, i.split): {key: text for key, text in i.metadata.items() if text} for i in items}


def test_new_metadata_takes_the_place_of_the_old(index):
    assert index.add(CODES, NAMES, "audio", "test", {"label": ["1", "2", "3"], "by": ["x", "y", "z"]}) == 3
    assert index.add(CODES[:2], NAMES[:2], "audio", "test", {"label": ["1", "7"], "by": ["x", ""]}) == 0
    assert index.count() == 3
    assert metadata_of(index) == {
        ("a", "test"): {"label": "1", "by": "x"},
        ("b", "test"): {"label": "7"},
        ("c", "test"): {"label": "3", "by": "z"},
    }
    assert index.add(CODES, NAMES, "audio", "test") == 0  # nothing is said of the metadata: it stays
    assert metadata_of(index)["b", "test"] == {"label": "7"}
    assert index.add(CODES[:1], ["a"], "audio", "test", {"caption": ["new"]}) == 0
    assert metadata_of(index)["a", "test"] == {"caption": "new"}
    assert index.add(CODES[[0, 0]], ["d", "d"], "audio", "test", {"label": ["4", "5"]}) == 1
    assert metadata_of(index)["d", "test"] == {"label": "5"}


def test_copies_in_other_splits_are_found(index):
    index.add(CODES, NAMES, "audio", "train")
    index.add(CODES, NAMES, "image", "train")
    index.add(CODES[[1]], ["a"], "audio", "validation")  # the same name, but other codes
    assert index.copies_elsewhere(CODES[:2], NAMES[:2], "audio", "test") == {"train": ["a", "b"]}
    assert index.copies_elsewhere(CODES, NAMES, "audio", "train") == {}
    assert index.copies_elsewhere(CODES[:1], ["new"], "audio", "test") == {}


def test_what_was_taken_over_is_saved(tmp_path):
    index = FaissIndex(TABLE, 2, "f" * 16, vectors=True)
    index.add(CODES, NAMES, "audio", "test", {"label": ["1", "2", "3"]}, vectors=TABLE[CODES])
    index.save(tmp_path)
    again = FaissIndex.open(tmp_path)
    again.add(CODES[1:2], ["b"], "audio", "test", {"label": ["9"]}, vectors=TABLE[CODES[1:2]])
    again.save(tmp_path)
    held = FaissIndex.open(tmp_path)
    assert held.count("audio", {"label": "2"}) == 0 and held.count("audio", {"label": "9"}) == 1
    best = held.search(TABLE[CODES[1:2]], 3, rerank=3)
    scores = np.einsum("sd,nsd->n", TABLE[CODES[1]], TABLE[CODES])
    np.testing.assert_allclose(best.scores[0], -np.sort(-scores), atol=0.02)
    assert sorted(item.id for item in best.items[0]) == NAMES


def test_counting_without_conditions_scans_nothing(monkeypatch):
    index = FaissIndex(TABLE, 2, "f" * 16)
    index.add(CODES, NAMES, "audio", metadata={"label": NAMES})
    for name in NAMES * 5:
        index.count("audio", {"label": name})
    monkeypatch.setattr("vqmm.retrieval.searcher.Searcher.select", None)
    assert (index.count(), index.count("audio"), index.count("image")) == (3, 3, 0)


def test_an_item_with_several_captions_is_found_by_each():
    index = FaissIndex(TABLE, 2, "f" * 16)
    captions = ["a cat\na (black) cat", "a dog", "a cat"]
    index.add(CODES, NAMES, "audio", metadata={"caption": captions})
    index.add(CODES, NAMES, "image")
    for wanted, count in (("a cat", 2), ("a (black) cat", 1), ("black", 0), (["a dog", "a (black) cat"], 2)):
        assert index.count("audio", {"caption": wanted}) == count
    assert index.count(None, {"caption": captions[0]}) == 1
