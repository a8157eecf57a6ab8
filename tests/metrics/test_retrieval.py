import numpy as np
import pytest

from vqmm.metrics import cosine_scorer, judge_retrieval
from vqmm.metrics.retrieval import BLOCK


def test_perfect_and_random_vectors():
    groups = np.repeat(np.arange(10), 40)
    perfect = np.eye(10, dtype="float32")[groups][:, None]
    found = judge_retrieval(cosine_scorer(perfect, perfect), groups, groups, resamples=50)
    assert found.map.value == pytest.approx(1.0) and found.r1.value == pytest.approx(1.0)
    assert found.median_rank.value == pytest.approx(1.0) and found.map.n == 400 > BLOCK
    noise = np.random.default_rng(0).normal(size=(2, 400, 1, 16))
    blind = judge_retrieval(cosine_scorer(*noise), groups, groups, resamples=50)
    for name, figure in blind._asdict().items():
        assert figure.value == pytest.approx(figure.chance, rel=0.3), name


def test_queries_without_anything_relevant_are_left_out():
    scores = np.eye(3, 2)
    found = judge_retrieval(lambda block: scores[block], np.array([0, 1, 5]), np.array([0, 1]), resamples=20)
    assert found.map.n == 2 and found.map.value == 1.0
    with pytest.raises(ValueError, match="no query"):
        judge_retrieval(lambda block: scores[block], np.array([7, 8, 9]), np.array([0, 1]))


def test_json_layout():
    scores = np.array([[0.9, 0.1], [0.8, 0.2]] * 3)
    tree = judge_retrieval(lambda block: scores[block], np.array([0, 1] * 3), np.array([0, 1]), 20).to_json()
    assert set(tree) == {"map", "r1", "r5", "r10", "median_rank", "chance"}
    assert tree["map"]["value"] == pytest.approx(0.75) and tree["map"]["n"] == 6
    assert len(tree["map"]["ci95"]) == 2 and tree["map"]["chance"] == tree["chance"]["map"] == 0.75
    assert tree["median_rank"]["chance"] == 1.5


def test_two_unknown_items_do_not_belong_together():
    scores = np.eye(3)
    found = judge_retrieval(lambda block: scores[block], np.array([-1, 0, 1]), np.array([-1, 0, 1]), 50)
    assert found.map.n == 2 and found.map.value == 1.0
    with pytest.raises(ValueError, match="no query has a relevant item"):
        judge_retrieval(lambda block: scores[block], np.full(3, -1), np.full(3, -1), 50)
