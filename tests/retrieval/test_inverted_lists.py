import faiss
import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.code_scan import CodeScan
from vqmm.retrieval.inverted_lists import InvertedLists

SLOTS, DIM, CODES, N = 4, 8, 40, 30_000


@pytest.fixture(scope="module")
def table():
    found = np.random.default_rng(0).normal(size=(CODES, DIM)).astype("float32")
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def codes():
    """Forty kinds of item, three in ten codes of which are drawn anew."""
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, CODES, (40, SLOTS))[rng.integers(0, 40, N)]
    return np.where(rng.random((N, SLOTS)) < 0.3, rng.integers(0, CODES, (N, SLOTS)), kinds)


@pytest.fixture(scope="module")
def queries(table, codes):
    rng = np.random.default_rng(2)
    return table[codes[rng.integers(0, N, 100)]] + 0.2 * rng.normal(size=(100, SLOTS, DIM)).astype("float32")


@pytest.fixture(scope="module")
def scores(table, codes, queries):
    return np.stack([table[codes[:, s]] @ queries[:, s].T for s in range(SLOTS)]).sum(0).T


@pytest.fixture(scope="module")
def index(table, codes):
    made = FaissIndex(table, SLOTS, "f" * 16)
    made.add(codes, [str(i) for i in range(N)], "audio", metadata={"label": [str(i % 50) for i in range(N)]})
    made.set_lists(128)
    return made


def recall(found, expected, k=10):
    """Share of hits whose score is among the k best there are, for codes tie."""
    return (found >= -np.sort(-expected, axis=1)[:, k - 1 : k] - 1e-4).mean()


def test_lists_find_what_the_scan_finds(index, queries, scores):
    hits = index.search(queries, 10)
    np.testing.assert_allclose(np.take_along_axis(scores, hits.positions, 1), hits.scores, atol=1e-4)
    assert recall(hits.scores, scores) >= 0.95
    assert index.probes == 8


def test_all_lists_are_the_flat_scan(index, queries, scores):
    inverted = index._inverted
    found = inverted.search(queries, 50, inverted.lists)
    np.testing.assert_allclose(np.sort(found.scores), np.sort(scores)[:, -50:], atol=1e-4)
    assert inverted.rows == N and all(len(set(line)) == 50 for line in found.rows.tolist())


def test_every_item_is_in_the_list_of_the_nearest_centre(index, table, codes):
    inverted = index._inverted
    ivf = inverted._index
    assert ivf.ntotal == len(np.unique(codes, axis=0)) < N  # items with the same codes are one entry
    centres = ivf.quantizer.reconstruct_n(0, ivf.nlist)
    dealt = np.full(N, -1)
    for number in range(ivf.nlist):
        size = ivf.invlists.list_size(number)
        for entry in faiss.rev_swig_ptr(ivf.invlists.get_ids(number), size):
            dealt[inverted._members[inverted._bounds[entry] : inverted._bounds[entry + 1]]] = number
    assert (dealt >= 0).all()
    near = table[codes].reshape(N, -1) @ centres.T
    np.testing.assert_allclose(near[np.arange(N), dealt], near.max(axis=1), atol=1e-5)


def test_a_filter_reaches_into_the_lists(table, index, queries, scores):
    some = {"label": [str(i) for i in range(48)]}  # most of them: the lists are asked
    few = {"label": "7"}  # 600: they are scanned
    for where, least in ((some, 0.95), (few, 1.0)):
        legal = np.isin(np.arange(N) % 50, np.array(where["label"], int))
        hits = index.search(queries, 10, where=where)
        assert legal[hits.positions].all()
        expected = np.where(legal, scores, -np.inf)
        np.testing.assert_allclose(np.take_along_axis(expected, hits.positions, 1), hits.scores, atol=1e-4)
        assert recall(hits.scores, expected) >= least


def test_a_query_whose_lists_are_too_short_scans_everything(index, queries, scores):
    hits = index.search(queries[:2], 25_000)
    np.testing.assert_allclose(hits.scores, -np.sort(-scores[:2], axis=1)[:, :25_000], atol=1e-4)


def test_what_came_after_the_lists_is_found_beside_them(table, codes, queries, scores, tmp_path):
    index = FaissIndex(table, SLOTS, "f" * 16)
    half = N - 1000
    index.add(codes[:half], [str(i) for i in range(half)], "audio", "old")
    index.set_lists(64, probes=64)
    index.save(tmp_path)
    for mapped in (False, True):
        again = FaissIndex.open(tmp_path, mapped=mapped)
        assert (again.lists, again.probes) == (64, 64)
        again.add(codes[half:], [str(i) for i in range(half, N)], "audio")
        hits = again.search(queries, 10)
        np.testing.assert_allclose(hits.scores, -np.sort(-scores, axis=1)[:, :10], atol=1e-4)
        np.testing.assert_allclose(np.take_along_axis(scores, hits.positions, 1), hits.scores, atol=1e-4)
        old = again.search(queries, 10, where={"split": "old"})  # nothing of it behind the lists
        np.testing.assert_allclose(old.scores, -np.sort(-scores[:, :half], axis=1)[:, :10], atol=1e-4)
        again.remove([hits.items[0][0].id])
        assert hits.positions[0, 0] not in again.search(queries[:1], 10).positions


def test_lists_that_nothing_falls_into_are_left_out(table):
    scan = CodeScan(table, SLOTS)
    packed = scan.pack(np.repeat([[1, 2, 3, 4], [5, 6, 7, 8]], 50, axis=0))
    inverted = InvertedLists.build(scan, packed, 16)
    assert inverted.lists == 2
    found = inverted.search(table[[[5, 6, 7, 8]]], 60, probes=1)
    assert (found.rows[0, :50] >= 50).all() and (found.rows[0, 50:] == -1).all()


def test_what_makes_no_sense_is_refused(table):
    with pytest.raises(UserError, match="0 lists over 0 items"):
        InvertedLists.build(CodeScan(table, SLOTS), np.empty((0, SLOTS), np.uint8), 0)
    for lists, probes in ((-1, None), (4, 0)):
        with pytest.raises(UserError, match=f"lists={lists}, probes={probes}"):
            FaissIndex(table, SLOTS, "f" * 16).set_lists(lists, probes)


def test_saving_makes_the_lists_anew_when_much_came_after_them(table, codes, monkeypatch, tmp_path):
    monkeypatch.setattr("vqmm.retrieval.faiss_index.UNLISTED", (100, 0.1))
    index = FaissIndex(table, SLOTS, "f" * 16)
    index.set_lists(8)
    for start, stop, listed in ((0, 1000, 1000), (1000, 1100, 1000), (1100, 1105, 1000), (1105, 2000, 2000)):
        index.add(codes[start:stop], [str(i) for i in range(start, stop)], "audio")
        index.save(tmp_path)
        assert index._listed() == FaissIndex.open(tmp_path)._listed() == listed
