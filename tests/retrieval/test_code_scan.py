"""Fine codes in an index: scores, storage and refusals. Shared codes alone: test_faiss_index."""

import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex

DIM, SLOTS = 16, 3


def filled(size=12, fine_size=20, n=300, first=5, seed=0, vectors=False):
    """An index of items with fine codes, and what its scores must be."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(size, DIM)).astype("float32")
    tables = 0.3 * rng.normal(size=(SLOTS, fine_size, DIM)).astype("float32")
    codes = rng.integers(first, first + size, (n, SLOTS))
    fine = rng.integers(0, fine_size, (n, SLOTS))
    codes[0], codes[1], fine[0], fine[1] = first, first + size - 1, fine_size - 1, 0  # both ends of both
    index = FaissIndex(table, SLOTS, "f" * 16, first, vectors, tables)
    sums = table[codes - first] + tables[np.arange(SLOTS), fine]
    index.add(codes, [str(i) for i in range(n)], "image", vectors=sums if vectors else None, fine=fine)
    return index, codes, fine, sums


def asked(seed=1):
    return np.random.default_rng(seed).normal(size=(4, SLOTS, DIM)).astype("float32")


@pytest.mark.parametrize(
    "size, fine_size, bits, item", [(12, 20, 8, 6), (256, 256, 8, 6), (12, 300, 9, 7), (700, 256, 10, 8)]
)
def test_scores_are_those_of_the_sums_by_brute_force(size, fine_size, bits, item):
    index, codes, _, sums = filled(size, fine_size)
    expected = np.einsum("qsd,nsd->qn", asked(), sums)
    hits = index.search(asked(), 300)
    np.testing.assert_allclose(-np.sort(-expected, axis=1), hits.scores, atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(expected, hits.positions, 1), hits.scores, atol=1e-4)
    assert (index.bits, index.bytes_per_item) == (bits, item)
    np.testing.assert_array_equal(index.codes(), codes)
    assert index.usage().tolist() == np.bincount((codes - 5).ravel(), minlength=size).tolist()


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("lists", [0, 8])
def test_a_saved_index_answers_alike(tmp_path, monkeypatch, mapped, lists):
    monkeypatch.setattr("vqmm.retrieval.searcher.FEW", 0)  # lists are asked, however few the items
    index, codes, fine, sums = filled(vectors=True)
    index.set_lists(lists, lists or None)  # all lists probed: exact
    expected = index.search(asked(), 30, rerank=40)
    index.save(tmp_path / "index")
    again = FaissIndex.open(tmp_path / "index", mapped=mapped)
    found = again.search(asked(), 30, rerank=40)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    flat = np.einsum("qsd,nsd->qn", asked(), sums)
    np.testing.assert_allclose(again.search(asked(), 30).scores, -np.sort(-flat, 1)[:, :30], atol=1e-4)
    more = sums[:2].astype("float32")
    assert again.add(codes[:2], ["new", "newer"], "audio", vectors=more, fine=fine[:2]) == 2
    again.save(tmp_path / "index")
    assert FaissIndex.open(tmp_path / "index").count("audio") == 2


def test_a_few_lists_find_what_is_near(monkeypatch):
    monkeypatch.setattr("vqmm.retrieval.searcher.FEW", 0)  # as if there were many items
    index, _, _, sums = filled(n=3000)
    index.set_lists(16, 8)
    flat = np.argsort(-np.einsum("qsd,nsd->qn", asked(), sums), axis=1)[:, :10]
    found = index.search(asked(), k=10).positions
    shares = [len(np.intersect1d(a, b)) / 10 for a, b in zip(found, flat, strict=True)]
    assert np.mean(shares) > 0.7


def test_an_item_with_other_fine_codes_is_another_item():
    index, codes, fine, _ = filled()
    assert index.add(codes[:1], ["0"], "image", fine=fine[:1]) == 0
    with pytest.raises(UserError, match="'0'.*other codes"):
        index.add(codes[:1], ["0"], "image", fine=(fine[:1] + 1) % 20)


@pytest.mark.parametrize(
    "fine, told",
    [
        (None, "takes items with fine codes"),
        (np.full((1, SLOTS), 20), "fine tables of this index is 0 to 19"),
        (np.zeros((1, 2), int), r"takes integers \(items, 3\)"),
        (np.zeros((2, SLOTS), int), "shared codes of 1 items, fine codes of 2"),
        (np.zeros((1, SLOTS)), "type float64"),
    ],
)
def test_wrong_fine_codes_are_refused(fine, told):
    index, codes, _, _ = filled()
    with pytest.raises(UserError, match=told):
        index.add(codes[:1], ["new"], "image", fine=fine)
    assert index.count() == 300


def test_an_index_says_whether_it_holds_them():
    assert filled()[0].holds_fine
    assert not FaissIndex(np.eye(4, dtype="float32"), 2, "f" * 16).holds_fine


def test_fine_codes_without_tables_are_refused():
    index = FaissIndex(np.eye(4, dtype="float32"), 2, "f" * 16)
    with pytest.raises(UserError, match="takes items with no fine codes"):
        index.add(np.zeros((1, 2), int), ["a"], "audio", fine=np.zeros((1, 2), int))


@pytest.mark.parametrize("shape", [(2, 4, 4), (3, 4, 5), (3, 0, 4), (3, 4)])
def test_tables_that_do_not_fit_are_refused(shape):
    with pytest.raises(UserError, match=r"fine tables of shape .*\(3, 1 to 65536, 4\)"):
        FaissIndex(np.eye(4, dtype="float32"), 3, "f" * 16, fine=np.zeros(shape, "float32"))
