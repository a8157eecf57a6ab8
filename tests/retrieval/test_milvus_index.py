"""Milvus Lite answers as FAISS does; the tests run where the extra is installed."""

import sys

import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex, Index
from vqmm.retrieval.milvus_index import MilvusIndex

SLOTS, DIM, CODES = 3, 5, 11
TABLE = np.random.default_rng(0).normal(size=(CODES, DIM)).astype("float32")
CODES_OF = np.random.default_rng(1).integers(4, 4 + CODES, (40, SLOTS))
QUERY = np.random.default_rng(2).normal(size=(3, SLOTS, DIM)).astype("float32")


def fill(index):
    for modality, rows in (("audio", range(20)), ("image", range(20, 40))):
        labels = [str(row % 4) for row in rows]
        index.add(
            CODES_OF[rows],
            [f"i{row % 20}" for row in rows],
            modality,
            "test",
            {"label": labels, "by whom": labels},
        )


def test_without_the_extra_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(UserError, match=r"vqmm\[milvus\]"):
        MilvusIndex(str(tmp_path / "a.db"), TABLE, SLOTS, "f" * 16)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    return str(tmp_path_factory.mktemp("milvus") / "index.db")


@pytest.fixture
def pair(uri, request):
    """A FAISS index and a Milvus index with the same items."""
    flat = FaissIndex(TABLE, SLOTS, "f" * 16, 4)
    name = request.node.originalname
    other = MilvusIndex(uri, TABLE, SLOTS, "f" * 16, 4, collection=name)
    fill(flat)
    fill(other)
    return flat, other


@pytest.mark.parametrize(
    "modality, where",
    [
        (None, None),
        ("audio", None),
        (None, {"label": ["1", "2"]}),
        ("image", {"label": "3", "split": "test"}),
    ],
)
def test_scores_and_items_are_those_of_faiss(pair, modality, where):
    flat, other = pair
    assert isinstance(other, Index)
    held = flat.count(modality, where)
    assert other.count(modality, where) == held
    one, two = (index.search(QUERY, held, modality, where) for index in pair)
    np.testing.assert_allclose(one.scores, two.scores, atol=1e-4)
    for a, b in zip(one.items, two.items, strict=True):
        key = sorted((item.modality, item.id, item.split, item.metadata["label"]) for item in a)
        assert key == sorted((item.modality, item.id, item.split, item.metadata["label"]) for item in b)
    near = other.search(QUERY, 5, modality, where)
    np.testing.assert_allclose(near.scores, one.scores[:, :5], atol=1e-4)


def test_it_is_opened_again_and_grows(pair, uri):
    flat, other = pair
    other.save(uri)
    again = MilvusIndex.open(uri, "f" * 16, collection=other.collection)
    np.testing.assert_allclose(again.codebook, TABLE)
    assert (again.slots, again.dim, again.first, again.count()) == (SLOTS, DIM, 4, 40)
    fill(again)
    assert again.count() == 40  # what is there already is left out
    for index in (flat, again):
        assert index.add(CODES_OF[:1], ["new"], "audio") == 1
        with pytest.raises(UserError, match="'i0'.*other codes"):
            index.add(
                [[4, 4, 4]] if CODES_OF[0].tolist() != [4, 4, 4] else [[5, 4, 4]], ["i0"], "audio", "test"
            )
        assert index.remove(["i1", "i2"]) == 4 and index.remove(["i3"], "image") == 1
        with pytest.raises(UserError, match="holds no 'i1'"):
            index.remove(["i1", "i4"])
    assert flat.count() == again.count() == 36
    one, two = flat.search(QUERY, 36), again.search(QUERY, 36)
    np.testing.assert_allclose(one.scores, two.scores, atol=1e-4)


def test_what_it_refuses(pair, uri):
    _, other = pair
    with pytest.raises(UserError, match=f"{'f' * 16}.*{'0' * 16}"):
        MilvusIndex.open(uri, "0" * 16, collection=other.collection)
    with pytest.raises(UserError, match=f"{'f' * 16}.*{'0' * 16}"):
        MilvusIndex(uri, TABLE, SLOTS, "0" * 16, collection=other.collection)
    with pytest.raises(UserError, match="no collection 'none'"):
        MilvusIndex.open(uri, collection="none")
    with pytest.raises(UserError, match="lives in"):
        other.save("elsewhere")
    with pytest.raises(UserError, match="k=41"):
        other.search(QUERY, 41)
    with pytest.raises(UserError, match=r"takes \(queries, 3, 5\)"):
        other.search(QUERY[:, :2], 1)
    with pytest.raises(UserError, match="re-ranking"):
        other.search(QUERY, 1, rerank=5)
    with pytest.raises(UserError, match="4 to 15"):
        other.add([[4, 4, 15]], ["x"], "audio")
