"""Removing, filtering, re-ranking, mapping: what an index does besides adding and scanning."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex

SLOTS, DIM, CODES = 3, 5, 11
TABLE = np.random.default_rng(0).normal(size=(CODES, DIM)).astype("float32")


def filled(n=60, vectors=False):
    rng = np.random.default_rng(1)
    codes = rng.integers(0, CODES, (n, SLOTS))
    latents = TABLE[codes] + 0.3 * rng.normal(size=(n, SLOTS, DIM)).astype("float32")
    index = FaissIndex(TABLE, SLOTS, "f" * 16, vectors=vectors)
    half = n // 2
    for modality, rows in (("audio", range(half)), ("image", range(half, n))):
        index.add(
            codes[rows],
            [f"i{row % half}" for row in rows],
            modality,
            "test" if modality == "audio" else "train",
            {"label": [str(row % 4) for row in rows], "speaker": [f"s{row % 3}" for row in rows]},
            latents[rows] if vectors else None,
        )
    return index, codes, latents


QUERY = np.random.default_rng(2).normal(size=(2, SLOTS, DIM)).astype("float32")


def exact(rows, k):
    return -np.sort(-np.einsum("qsd,nsd->qn", QUERY, rows), axis=1)[:, :k]


def test_removed_items_are_not_found_and_may_come_again(tmp_path):
    index, codes, _ = filled()
    assert index.remove(["i3", "i5"]) == 4  # a recording and a picture each
    assert index.remove(["i4"], "image") == 1 and index.remove(["i6"], split="test") == 1
    gone = [3, 5, 6, 33, 35, 34]
    assert index.count() == 54 and index.count("audio") == 27
    kept = np.setdiff1d(np.arange(60), gone)
    index.save(tmp_path)
    for held in (index, FaissIndex.open(tmp_path)):
        np.testing.assert_array_equal(held.usage(), np.bincount(codes[kept].ravel(), minlength=CODES))
        hits = held.search(QUERY, 54)
        assert not set(gone) & set(hits.positions.ravel().tolist())
        np.testing.assert_allclose(hits.scores, exact(TABLE[codes[kept]], 54), atol=1e-4)
        assert held.add((codes[3:4] + 1) % CODES, ["i3"], "audio", "test") == 1  # with other codes, even
        assert held.count() == 55


def test_a_name_that_is_not_there_removes_nothing():
    index, *_ = filled()
    with pytest.raises(UserError, match=r"holds no 'x', 'y' \(2 of 3 names\); nothing is removed"):
        index.remove(["i1", "x", "y"])
    index.remove(["i2"], "audio")
    with pytest.raises(UserError, match="holds no 'i2'"):
        index.remove(["i2"], "audio")
    with pytest.raises(UserError, match="legal: audio, image"):
        index.remove(["i1"], "video")
    assert index.count() == 59


def test_compacting_drops_the_rows(tmp_path):
    index, codes, latents = filled(vectors=True)
    index.save(tmp_path)
    index.remove(["i0", "i1"])
    index.save(tmp_path)
    assert json.loads((tmp_path / "index.json").read_text())["rows"] == 60
    before = index.search(QUERY, 56, rerank=56)
    index.compact()
    index.save(tmp_path)
    kept = np.setdiff1d(np.arange(60), [0, 1, 30, 31])
    for held in (index, FaissIndex.open(tmp_path)):
        np.testing.assert_array_equal(held.codes(), codes[kept])
        after = held.search(QUERY, 56, rerank=56)
        np.testing.assert_array_equal(after.scores, before.scores)
        assert after.items == before.items
    assert json.loads((tmp_path / "index.json").read_text())["rows"] == 56
    assert (tmp_path / "codes-000003.bin").stat().st_size == 56 * SLOTS


def test_saving_compacts_when_much_was_removed_or_added_in_bits(tmp_path, monkeypatch):
    index, codes, _ = filled()
    index.save(tmp_path)
    index.remove([f"i{n}" for n in range(8)])
    index.save(tmp_path)
    assert len(index.codes()) == 44
    monkeypatch.setattr("vqmm.retrieval.faiss_index.PARTS", 4)
    monkeypatch.setattr("vqmm.retrieval.index_folder.GRACE_SECONDS", 0)  # only what counts stays
    files = []
    for n in range(8):
        index.add(codes[:1], [f"new{n}"], "audio")
        index.save(tmp_path)
        files.append(len(list(tmp_path.glob("items-*.parquet"))))
    assert files == [2, 3, 4, 1, 2, 3, 4, 1]
    assert FaissIndex.open(tmp_path).count() == 52


def test_an_addition_writes_what_is_new(tmp_path):
    index, codes, _ = filled()
    index.save(tmp_path)
    first = (tmp_path / "codes-000001.bin").read_bytes()
    again = FaissIndex.open(tmp_path)
    again.add(codes[:2], ["x", "y"], "audio")
    again.save(tmp_path)
    grown = (tmp_path / "codes-000001.bin").read_bytes()
    assert grown == first + codes[:2].astype("uint8").tobytes()
    assert sorted(p.name for p in tmp_path.glob("items-*")) == [
        "items-000001.parquet",
        "items-000002.parquet",
    ]
    assert FaissIndex.open(tmp_path).search(TABLE[codes[:1]], 62).positions.shape == (1, 62)


def test_an_opened_index_saves_into_a_new_folder_whole(tmp_path):
    index, codes, _ = filled()
    index.save(tmp_path / "a")
    again = FaissIndex.open(tmp_path / "a")
    again.save(tmp_path / "b")
    np.testing.assert_array_equal(FaissIndex.open(tmp_path / "b").codes(), codes)
    with pytest.raises(UserError, match="generation 1.*started from 0"):
        index.save(tmp_path / "b")
    index.save(tmp_path / "a")  # its own folder still takes it


@settings(max_examples=25)
@given(
    st.sampled_from([None, "audio", "image"]),
    st.dictionaries(
        st.sampled_from(["label", "speaker", "split"]),
        st.lists(st.sampled_from(["0", "1", "2", "s0", "s1", "test", "train"]), min_size=1, max_size=3),
        max_size=2,
    ),
)
def test_filters_find_what_a_plain_loop_finds(modality, where):
    index, codes, _ = filled()
    rows = [
        row
        for row in range(60)
        if modality in (None, "audio" if row < 30 else "image")
        and all(
            {"label": str(row % 4), "speaker": f"s{row % 3}", "split": "test" if row < 30 else "train"}[key]
            in v
            for key, v in where.items()
        )
    ]
    assert index.count(modality, where) == len(rows)
    if rows:
        hits = index.search(QUERY, len(rows), modality, where)
        assert sorted(hits.positions[0].tolist()) == rows
        np.testing.assert_allclose(hits.scores, exact(TABLE[codes[rows]], len(rows)), atol=1e-4)


def test_conditions_that_cannot_be_met_are_told():
    index, *_ = filled()
    assert index.count(where={"label": "9"}) == index.count("audio", {"modality": "image"}) == 0
    with pytest.raises(
        UserError, match="no 'lable' .did you mean 'label'.*id, label, modality, speaker, split"
    ):
        index.search(QUERY, 1, where={"lable": "1"})
    with pytest.raises(UserError, match="holds 15 items that meet the conditions"):
        index.search(QUERY, 16, where={"label": "1"})


@pytest.mark.parametrize("mapped", [False, True])
def test_the_first_hits_are_scored_anew_by_their_vectors(tmp_path, mapped):
    index, codes, latents = filled(vectors=True)
    index.save(tmp_path)
    held = FaissIndex.open(tmp_path, mapped=mapped)
    assert held.holds_vectors and held.bytes_per_item == SLOTS + 2 * SLOTS * DIM
    everything = held.search(QUERY, 10, rerank=60)
    np.testing.assert_allclose(everything.scores, exact(latents, 10), atol=0.02)
    plain = held.search(QUERY, 20)
    some = held.search(QUERY, 5, rerank=20)
    for line in range(2):
        again = {row: QUERY[line].ravel() @ latents[row].ravel() for row in plain.positions[line]}
        best = sorted(again, key=lambda row: -again[row])[:5]
        assert some.positions[line].tolist() == best
    assert held.search(QUERY, 5, "image", rerank=3).positions.shape == (2, 5)


def test_vectors_come_with_all_items_or_none():
    index, codes, latents = filled(vectors=True)
    with pytest.raises(UserError, match="holds vectors: all its items"):
        index.add(codes[:1], ["x"], "audio")
    for wrong, told in (
        (latents[:2], r"\(2, 3, 5\)"),
        (latents[:1] * np.nan, "NaN"),
        (latents[:1] + 1e6, "65504"),
    ):
        with pytest.raises(UserError, match=told):
            index.add(codes[:1], ["x"], "audio", vectors=wrong)
    bare, *_ = filled()
    with pytest.raises(UserError, match="holds no vectors"):
        bare.add(codes[:1], ["x"], "audio", vectors=latents[:1])
    with pytest.raises(UserError, match="re-ranking takes vectors"):
        bare.search(QUERY, 1, rerank=5)


def test_a_mapped_index_answers_alike_and_lives_through_a_compaction(tmp_path):
    index, codes, _ = filled(vectors=True)
    index.set_lists(4)
    index.save(tmp_path)
    read, mapped = FaissIndex.open(tmp_path), FaissIndex.open(tmp_path, "f" * 16, mapped=True)
    assert isinstance(mapped._packed.base, np.memmap) or isinstance(mapped._packed, np.memmap)
    other = FaissIndex.open(tmp_path)
    other.remove(["i1"])
    other.compact()
    other.save(tmp_path)
    for rerank in (0, 30):
        one, two = (held.search(QUERY, 20, rerank=rerank) for held in (read, mapped))
        np.testing.assert_array_equal(one.positions, two.positions)
        np.testing.assert_array_equal(one.scores, two.scores)
    with pytest.raises(UserError, match="generation 2.*started from 1"):
        mapped.save(tmp_path)


def test_damage_in_each_file_is_told(tmp_path):
    index, *_ = filled(vectors=True)
    index.set_lists(4)
    index.save(tmp_path)
    facts = json.loads((tmp_path / "index.json").read_text())
    files = [entry["name"] for parts in facts["files"].values() for entry in parts if entry["bytes"]]
    assert len(files) == 6
    for name in files:
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(UserError, match=f"{name} is damaged"):
            FaissIndex.open(tmp_path)
        (tmp_path / name).write_bytes(whole[:-1])
        with pytest.raises(UserError, match=f"{name} is damaged"):
            FaissIndex.open(tmp_path, mapped=True)
        (tmp_path / name).write_bytes(whole)
    for key, value in (("rows", 59), ("slots", 2), ("dim", "x"), ("codes", 10)):
        (tmp_path / "index.json").write_text(json.dumps(facts | {key: value}))
        with pytest.raises(UserError, match="is damaged"):
            FaissIndex.open(tmp_path)
