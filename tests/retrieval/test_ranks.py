"""Equal scores share a rank, wherever hits are shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqmm.retrieval import FaissIndex, Item
from vqmm.retrieval.hit_rows import hit_rows
from vqmm.retrieval.ranks import shared_ranks
from vqmm.serving.search import SearchOptions, checked, ranked


@pytest.mark.parametrize(
    ("scores", "ranks"),
    [
        ([], []),
        ([3.0, 2.0, 2.0, 1.0], [1, 2, 2, 4]),
        ([8.0, float(np.nextafter(np.float32(8), np.float32(0))), 7.9999], [1, 1, 3]),
        ([0.0, 0.0, -1.0, -1.0], [1, 1, 3, 3]),
    ],
)
def test_ranks(scores, ranks):
    assert shared_ranks(scores) == ranks


@given(st.lists(st.integers(-9, 9), max_size=20))
def test_a_rank_counts_the_better_scores(scores):
    scores = sorted(scores, reverse=True)
    assert shared_ranks(scores) == [1 + sum(other > score for other in scores) for score in scores]


def test_items_with_the_same_codes_share_a_rank_in_rows_and_in_the_service():
    table = np.eye(4, dtype=np.float32)
    index = FaissIndex(table, 2, "f" * 16)
    index.add([[0, 1], [2, 3], [0, 1], [0, 2]], ["a", "b", "c", "d"], "image")
    options = SearchOptions(query="codes")
    question = checked(index, options, "audio", 100)
    found = {"shared": np.array([[0, 1]], np.int32)}
    answer = [(hit["id"], hit["rank"]) for hit in ranked(index, found, options, question)]
    assert answer == [("a", 1), ("c", 1), ("d", 3), ("b", 4)]
    items = [Item(name, "image", "", {}) for name in "acdb"]
    assert [row["rank"] for row in hit_rows(items, [2.0, 2.0, 1.0, 0.0])] == [1, 1, 3, 4]
