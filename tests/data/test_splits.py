"""Seeded splits: no item in two, the stated shares, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

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
    rows = _rows([f"item {number}" for number in range(200)])
    first, again, other = (assign_splits(rows, seed) for seed in (0, 0, 1))
    assert Counter(row.split for row in first) == {"train": 160, "validation": 20, "test": 20}
    assert first == again != other
    few = assign_splits(rows[:3], 0)
    assert Counter(row.split for row in few) == {"train": 1, "validation": 1, "test": 1}
    assert {row.split for row in assign_splits(rows[:2], 0)} == {"train"}


def test_given_splits_stay_and_rows_of_their_item_follow() -> None:
    rows = _rows(["a", "a", "b", "b", "c"])
    rows[0] = replace(rows[0], split="test")
    rows[2] = replace(rows[2], split="validation")
    rows[3] = replace(rows[3], split="train")
    rows[4] = replace(rows[4], split="train")
    split = [row.split for row in assign_splits(rows, 0)]
    assert split == ["test", "test", "validation", "train", "train"]
