import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from vqmm.metrics import expected_at_random, rank_queries


def brute_force(scores, relevant):
    """Mean over every order that breaks the ties, from the definitions."""
    figures = []
    for order in itertools.permutations(range(len(scores))):
        ranked = [scores[i] for i in order]
        if ranked != sorted(ranked, reverse=True):
            continue
        hit = np.array([relevant[i] for i in order])
        precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
        first = np.argmax(hit) + 1
        figures.append([precision[hit].mean(), first <= 1, first <= 5, first <= 10, first])
    return np.mean(figures, axis=0)


@settings(max_examples=60)
@given(st.data())
def test_equals_mean_over_all_orders(data):
    size = data.draw(st.integers(1, 6))
    scores = data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    relevant = data.draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(any))
    found = rank_queries(np.array([scores], "float32"), np.array([relevant]))
    np.testing.assert_allclose([column[0] for column in found], brute_force(scores, relevant), atol=1e-12)


def test_five_of_a_kind_with_the_cut_inside_a_tie():
    # Seven tied items of which two are relevant: R@5 = 1 - C(5,5)/C(7,5).
    found = rank_queries(np.zeros((1, 7)), np.array([[1, 1, 0, 0, 0, 0, 0]], bool))
    assert found.r5[0] == pytest.approx(1 - 1 / 21)
    assert found.r1[0] == pytest.approx(2 / 7)
    assert found.median_rank[0] == pytest.approx(8 / 3)


def test_agrees_with_sklearn_without_ties():
    rng = np.random.default_rng(0)
    scores, relevant = rng.random((20, 50)), rng.random((20, 50)) < 0.2
    expected = [average_precision_score(r, s) for r, s in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(rank_queries(scores, relevant).map, expected, atol=1e-9)


def test_rounding_noise_is_a_tie():
    relevant = np.array([[True, False, False]])
    noisy = rank_queries(np.array([[0.3, 0.3 + 1e-9, 0.1]]), relevant)
    assert noisy.map[0] == pytest.approx(0.75)


@pytest.mark.parametrize("gallery, relevant", [(1, 1), (6, 1), (6, 6), (40, 7)])
def test_chance_is_the_figure_of_a_constant_score(gallery, relevant):
    marks = np.arange(gallery)[None, :] < relevant
    constant = rank_queries(np.zeros((1, gallery)), marks)
    for name, value in expected_at_random(gallery, np.array([relevant]))._asdict().items():
        assert value[0] == pytest.approx(getattr(constant, name)[0]), name


def test_chance_of_ten_balanced_classes():
    chance = expected_at_random(100_000, np.array([10_000]))
    assert chance.r1[0] == pytest.approx(0.1, abs=1e-6)
    assert chance.r5[0] == pytest.approx(1 - 0.9**5, abs=1e-4)
    assert chance.r10[0] == pytest.approx(1 - 0.9**10, abs=1e-4)
    assert chance.map[0] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(
    "scores, relevant, message",
    [
        (np.zeros((1, 3)), np.zeros((1, 3), bool), "no relevant item"),
        (np.array([[np.nan, 0, 0]]), np.ones((1, 3), bool), "NaN"),
        (np.zeros((1, 3)), np.ones((1, 4), bool), "shape|queries"),
    ],
)
def test_refuses(scores, relevant, message):
    with pytest.raises(ValueError, match=message):
        rank_queries(scores, relevant)
