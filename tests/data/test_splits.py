"""Seeded splits: no item and no content in two, about the stated shares, nothing moves with other rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vqmm.data import splits
from vqmm.data.manifest import Row
from vqmm.data.splits import assign_splits


def _rows(items: list[str]) -> list[Row]:
    return [Row(number, f"r{number}", None, None, item) for number, item in enumerate(items, 1)]


@given(items=st.lists(st.text("abcdef", min_size=1, max_size=3), max_size=60), seed=st.integers(0, 9))
def test_an_item_lies_in_one_split_whatever_the_order_of_rows(items: list[str], seed: int) -> None:
    rows = assign_splits(_rows(items), seed)
    where = {row.item: row.split for row in rows}
    assert all(row.split == where[row.item] and row.split for row in rows)
    backwards = assign_splits(_rows(items[::-1]), seed)
    assert {row.item: row.split for row in backwards} == where


def test_shares_and_seeds() -> None:
    rows = _rows([f"item {number}" for number in range(5_000)])
    first, again, other = (assign_splits(rows, seed) for seed in (0, 0, 1))
    counts = Counter(row.split for row in first)
    # Six standard deviations of a binomial count.
    assert abs(counts["test"] - 500) < 127 and abs(counts["validation"] - 500) < 127
    assert first == again != other


def test_large_groups_are_held_out_no_more_often_than_small_ones() -> None:
    rows = _rows([f"item {number // 10}" for number in range(10_000)])
    pictures = [Path(f"{number}.png") for number in range(10_000)]
    rows = [replace(row, image=picture) for row, picture in zip(rows, pictures, strict=True)]
    given = assign_splits(rows, 0, {picture: picture.name for picture in pictures})
    tested = sum(row.split == "test" for row in given) / 10  # of 1,000 items
    assert abs(tested - 100) < 57


def _filed(pairs: list[tuple[int, int]]) -> tuple[list[Row], dict[Path, str]]:
    """A row for each pair of contents, every row with files of its own names."""
    rows, contents = [], {}
    for number, (sound, picture) in enumerate(pairs, 1):
        audio, image = Path(f"{number}-{sound}-{picture}.wav"), Path(f"{number}-{sound}-{picture}.png")
        contents |= {audio: f"sound {sound}", image: f"picture {picture}"}
        rows.append(Row(number, f"r{number}", audio, image, audio.name))
    return rows, contents


pairs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=30)


@given(pairs=pairs, seed=st.integers(0, 9))
def test_equal_content_under_many_names_lies_in_one_split(pairs: list[tuple[int, int]], seed: int) -> None:
    rows, contents = _filed(pairs)
    where: dict[str, str | None] = {}
    for row in assign_splits(rows, seed, contents):
        for file in (row.audio, row.image):
            if file is not None:
                assert where.setdefault(contents[file], row.split) == row.split


@given(old=pairs, new=pairs, seed=st.integers(0, 9), data=st.data())
def test_rows_that_come_go_or_change_places_move_no_others(
    old: list[tuple[int, int]], new: list[tuple[int, int]], seed: int, data: st.DataObject
) -> None:
    rows, contents = _filed(old)
    before = {row.audio: row.split for row in assign_splits(rows, seed, contents)}
    more, others = _filed([(sound + 100, picture + 100) for sound, picture in new])
    together = data.draw(st.permutations([*rows, *more]))
    after = {row.audio: row.split for row in assign_splits(together, seed, contents | others)}
    assert {path: after[path] for path in before} == before
    if rows:  # a copy of an old row, and rows of its item by name
        copy = replace(rows[0], number=99, audio=Path("copy.wav"), image=Path("copy.png"), item="copy")
        held = {copy.audio: contents[rows[0].audio], copy.image: contents[rows[0].image]}
        again = assign_splits([copy, *rows], seed, contents | held)
        assert [row.split for row in again] == [before[rows[0].audio], *before.values()]


def test_new_views_of_a_named_item_and_new_recordings_of_a_picture_follow_it() -> None:
    contents: dict[Path, str] = {}

    def row(number: int, item: str, named: bool, picture: str) -> Row:
        audio, image = Path(f"{number}.wav"), Path(f"{number}.png")
        contents.update({audio: f"sound {number}", image: picture})
        return Row(number, str(number), audio, image, item, item_named=named)

    for seed in range(50):
        (first,) = assign_splits([row(1, "cat", True, "p1")], seed, contents)
        named = [row(number, "cat", True, f"p{number}") for number in range(1, 6)]
        assert {one.split for one in assign_splits(named, seed, contents)} == {first.split}
        (first,) = assign_splits([row(1, "1.wav", False, "same")], seed, contents)
        shared = [row(number, f"{number}.wav", False, "same") for number in range(1, 6)]
        assert {one.split for one in assign_splits(shared, seed, contents)} == {first.split}


def test_explicit_splits_that_divide_an_item_or_its_copies_are_found() -> None:
    rows, contents = _filed([(0, 0), (1, 1), (2, 1), (3, 3), (4, 4)])
    given = ["train", "train", "test", "validation", "test"]
    rows = [replace(row, split=split) for row, split in zip(rows, given, strict=True)]
    assert splits.divided_groups(rows, contents) == [((2, 3), ("train", "test"))]
    assert splits.divided_groups(rows) == []
    rows[0], rows[3] = replace(rows[0], item="cat"), replace(rows[3], item="cat")
    assert splits.divided_groups(rows, contents) == [
        ((1, 4), ("train", "validation")),
        ((2, 3), ("train", "test")),
    ]


def test_a_row_without_a_split_never_takes_a_copy_of_a_training_item_to_test() -> None:
    rows, contents = _filed([(0, 0), (1, 0), (2, 0)])
    rows[0], rows[1] = replace(rows[0], split="test"), replace(rows[1], split="train")
    for order in (rows, rows[::-1]):
        found = {row.number: row.split for row in assign_splits(order, 0, contents)}
        assert found == {1: "test", 2: "train", 3: "train"}


def test_given_splits_stay_and_rows_of_their_item_follow() -> None:
    rows = _rows(["a", "a", "b", "b", "c"])
    rows[0] = replace(rows[0], split="test")
    rows[2] = replace(rows[2], split="validation")
    rows[3] = replace(rows[3], split="train")
    rows[4] = replace(rows[4], split="train")
    split = [row.split for row in assign_splits(rows, 0)]
    assert split == ["test", "test", "validation", "train", "train"]
