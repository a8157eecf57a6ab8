import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex, Index
from vqmm.tokens import fingerprint

DIM = 16


def codebook(size, seed=0, unit=True):
    table = np.random.default_rng(seed).normal(size=(size, DIM)).astype(np.float32)
    return table / np.linalg.norm(table, axis=1, keepdims=True) if unit else table


def filled(size=12, slots=4, n=50, first=0, seed=0):
    """An index with n recordings and n pictures, and all of its codes."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(first, first + size, (2 * n, slots))
    index = FaissIndex(codebook(size), slots, "f" * 16, first)
    index.add(codes[:n], [f"a{i}" for i in range(n)], "audio", "test", {"label": [str(i) for i in range(n)]})
    index.add(codes[n:], [f"p{i}" for i in range(n)], "image", "test", {"caption": ["seven"] * n})
    return index, codes


def brute_force(values, table, codes, first=0):
    return np.einsum("qsd,nsd->qn", values, table[codes - first])


@pytest.mark.parametrize(
    "size, bits", [(2, 8), (12, 8), (256, 8), (257, 9), (600, 10), (1025, 11), (4096, 12), (5000, 13)]
)
@pytest.mark.parametrize("first", [0, 300])
def test_scores_are_those_of_brute_force(size, bits, first):
    rng = np.random.default_rng(size)
    table = codebook(size, unit=False)
    index = FaissIndex(table, 5, "f" * 16, first)
    codes = rng.integers(first, first + size, (400, 5))
    codes[0], codes[1] = first, first + size - 1  # both ends of the range
    index.add(codes, [str(i) for i in range(400)], "image")
    values = rng.normal(size=(7, 5, DIM)).astype(np.float32)
    hits = index.search(values, 400)
    expected = brute_force(values, table, codes, first)
    np.testing.assert_allclose(np.take_along_axis(expected, hits.positions, 1), hits.scores, atol=1e-4)
    np.testing.assert_allclose(-np.sort(-expected, axis=1), hits.scores, atol=1e-4)
    assert index.bits == bits
    np.testing.assert_array_equal(index.codes(), codes)


@settings(max_examples=30)
@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 40), st.integers(0, 1000))
def test_any_shape_agrees_with_brute_force(size, slots, n, seed):
    rng = np.random.default_rng(seed)
    table, codes = codebook(size, seed), rng.integers(0, size, (n, slots))
    index = FaissIndex(table, slots, "f" * 16)
    index.add(codes, [str(i) for i in range(n)], "audio")
    values = rng.normal(size=(2, slots, DIM)).astype(np.float32)
    hits = index.search(values, n)
    expected = brute_force(values, table, codes)
    np.testing.assert_allclose(-np.sort(-expected, axis=1), hits.scores, atol=1e-4)


@pytest.mark.parametrize("size", [3, 12, 255, 300])
def test_padding_never_wins_even_when_every_score_is_negative(size):
    table = np.abs(codebook(size))
    index = FaissIndex(table, 2, "f" * 16)
    index.add(np.zeros((5, 2), int), list("abcde"), "audio")
    hits = index.search(-np.ones((1, 2, DIM), np.float32), 5)
    np.testing.assert_allclose(hits.scores, -2 * table[0].sum(), atol=1e-4)


def test_one_modality_is_searched_alone():
    index, codes = filled()
    values = np.random.default_rng(1).normal(size=(3, 4, DIM)).astype(np.float32)
    expected = brute_force(values, index.codebook, codes)
    for modality, rows in (("audio", slice(0, 50)), ("image", slice(50, 100))):
        hits = index.search(values, 50, modality)
        assert {item.modality for line in hits.items for item in line} == {modality}
        np.testing.assert_allclose(hits.scores, -np.sort(-expected[:, rows], axis=1), atol=1e-4)
        np.testing.assert_allclose(np.take_along_axis(expected, hits.positions, 1), hits.scores, atol=1e-4)
    assert index.count() == 100 and index.count("audio") == index.count("image") == 50


def test_equal_scores_come_in_the_order_of_addition():
    index = FaissIndex(codebook(4), 2, "f" * 16)
    index.add(np.ones((20, 2), int), [str(i) for i in range(20)], "image")
    hits = index.search(np.ones((1, 2, DIM), np.float32), 20)
    assert hits.positions[0].tolist() == list(range(20))


def test_items_keep_what_was_said_about_them(tmp_path):
    index, _ = filled()
    index.save(tmp_path / "i")
    for held in (index, FaissIndex.open(tmp_path / "i")):
        best = held.search(held.codebook[held.codes()[3]][None], 1, "audio").items[0][0]
        assert (best.modality, best.split, best.metadata["caption"]) == ("audio", "test", "")
        assert best.metadata["label"] == best.id[1:]


def test_what_is_saved_is_opened(tmp_path):
    for size in (12, 700):
        index, codes = filled(size=size, first=5)
        index.save(tmp_path / str(size))
        again = FaissIndex.open(tmp_path / str(size), "f" * 16)
        values = np.random.default_rng(1).normal(size=(3, 4, DIM)).astype(np.float32)
        for a, b in zip(index.search(values, 9, "image"), again.search(values, 9, "image"), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(again.codes(), codes)
        assert (again.first, again.bits, again.dim, again.slots) == (5, index.bits, DIM, 4)


def test_additions_to_an_opened_index_equal_one_addition(tmp_path):
    index, codes = filled()
    FaissIndex(codebook(12), 4, "f" * 16).save(tmp_path / "i")
    for start in range(0, 100, 30):
        opened = FaissIndex.open(tmp_path / "i")
        for row in range(start, min(start + 30, 100)):
            modality, name = ("audio", f"a{row}") if row < 50 else ("image", f"p{row - 50}")
            assert opened.add(codes[row : row + 1], [name], modality, "test") == 1
        opened.save(tmp_path / "i")
    again = FaissIndex.open(tmp_path / "i")
    values = np.random.default_rng(1).normal(size=(3, 4, DIM)).astype(np.float32)
    np.testing.assert_array_equal(again.search(values, 100).scores, index.search(values, 100).scores)
    assert again.generation == 5


def test_an_addition_may_be_repeated():
    index, codes = filled()
    assert index.add(codes[:50], [f"a{i}" for i in range(50)], "audio", "test") == 0
    assert index.add(codes[:2], ["a0", "new"], "audio", "test") == 1
    assert index.add(codes[:1], ["a0"], "audio", "train") == 1  # ids are unique within a split
    assert index.add(codes[[0, 0]], ["twice", "twice"], "audio") == 1
    assert index.count() == 103
    with pytest.raises(UserError, match="'a1'.*other codes"):
        index.add((codes[1:2] + 1) % 12, ["a1"], "audio", "test")
    with pytest.raises(UserError, match="'x'.*other codes"):
        index.add([[0, 0, 0, 0], [1, 0, 0, 0]], ["x", "x"], "audio")
    assert index.count() == 103  # a refused addition adds nothing


@pytest.mark.parametrize(
    "codes, message",
    [
        ([[0, 0, 0, 12]], "0 to 12; the shared range of this index is 0 to 11"),
        ([[0, 0, 0, -1]], "-1 to 0"),
        ([[0, 0, 0]], r"\(1, 3\)"),
        ([[0.0, 0, 0, 0]], "float64"),
        ([0, 0, 0, 0], r"\(4,\)"),
    ],
)
def test_codes_outside_the_shared_range_are_refused(codes, message):
    index, _ = filled()
    with pytest.raises(UserError, match=message):
        index.add(codes, ["x"], "audio")


def test_what_cannot_be_searched_is_refused():
    index, _ = filled()
    good = np.zeros((1, 4, DIM), np.float32)
    for k in (0, -1, 51):
        with pytest.raises(UserError, match=f"k={k}: the index holds 50 items of modality audio"):
            index.search(good, k, "audio")
    with pytest.raises(UserError, match=r"takes \(queries, 4, 16\)"):
        index.search(good[:, :3], 1)
    with pytest.raises(UserError, match="NaN"):
        index.search(good * np.nan, 1)
    with pytest.raises(UserError, match="legal: audio, image"):
        index.search(good, 1, "video")
    with pytest.raises(UserError, match="holds 0 items"):
        FaissIndex(codebook(12), 4, "f" * 16).search(good, 1)
    with pytest.raises(UserError, match="one value an item"):
        index.add([[0, 0, 0, 0]], ["x"], "audio", metadata={"label": ["1", "2"]})


def test_an_index_of_another_codebook_is_refused_with_both_fingerprints(tmp_path):
    mine, other = (fingerprint(codebook(12, seed), {"shared": (0, 12)}) for seed in (0, 1))
    FaissIndex(codebook(12), 4, mine).save(tmp_path / "i")
    with pytest.raises(UserError, match=f"{mine}.*{other}"):
        FaissIndex.open(tmp_path / "i", other)


def test_an_item_takes_as_many_bytes_as_its_codes(tmp_path):
    sizes = []
    for n in (0, 10_000):
        index = FaissIndex(codebook(12), 8, "f" * 16)
        if n:
            index.add(np.zeros((n, 8), int), [str(i) for i in range(n)], "audio")
        index.save(tmp_path / str(n))
        sizes.append((tmp_path / str(n) / "codes-000001.bin").stat().st_size)
    assert sizes[1] - sizes[0] == 8 * 10_000


def test_the_items_are_plain_parquet(tmp_path):
    index, _ = filled()
    index.save(tmp_path)
    table = pyarrow.parquet.read_table(tmp_path / "items-000001.parquet")
    assert set(table.column_names) == {"id", "modality", "split", "label", "caption"}
    assert table.num_rows == 100


def test_it_is_an_index():
    assert isinstance(FaissIndex(codebook(12), 4, "f" * 16), Index)
