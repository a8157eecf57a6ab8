"""Whole numbers are written one way, and labels that look alike are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqmm.data.labels import alike, whole_number


@given(st.integers(-(10**20), 10**20), st.integers(1, 5))
def test_a_whole_number_loses_its_point(number: int, zeros: int) -> None:
    assert whole_number(f"{number}.{'0' * zeros}") == str(number)
    assert alike([str(number), f"{number}.{'0' * zeros}"]) == [
        sorted([str(number), f"{number}.{'0' * zeros}"])
    ]


@pytest.mark.parametrize("text", ["7", "07.0", "7.5", "7.", ".0", "1e3", "seven", "7.0.0", "", "٧.0"])
def test_other_text_stays(text: str) -> None:
    assert whole_number(text) == text


def test_groups_of_labels_that_look_alike() -> None:
    labels = ["7", "07", "+7", "8", "Cat", "cat ", "dog", "true", "TRUE", "1.50", "1.5"]
    assert alike(labels) == [["+7", "07", "7"], ["1.5", "1.50"], ["Cat", "cat "], ["TRUE", "true"]]
