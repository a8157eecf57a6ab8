import numpy as np

from vqmm.report.examples import draw_rows, retrieval_examples


def test_every_group_comes_once_before_any_comes_twice():
    groups = np.random.default_rng(0).integers(0, 6, 100)
    assert groups[draw_rows(groups, 6)].tolist() == [0, 1, 2, 3, 4, 5]
    twice = groups[draw_rows(groups, 9)]
    assert np.bincount(twice).max() == 2 and len(twice) == 9
    assert len(draw_rows(groups[:3], 8)) == 3
    assert draw_rows(groups, 6, 1).tolist() != draw_rows(groups, 6, 2).tolist()


def test_hits_are_ranked_and_marked():
    scores = np.array([[0.1, 0.9, 0.5, 0.4]])
    (example,) = retrieval_examples(lambda b: scores[b], np.array([1]), np.array([1, 1, 0, -1]), 3, 3)
    assert [hit.row for hit in example.hits] == [1, 2, 3]
    assert [hit.right for hit in example.hits] == [True, False, None]
    assert example.hits[0].score == 0.9


def test_ties_are_broken_at_random_not_by_place():
    scores = np.ones((1, 50))
    firsts = {
        retrieval_examples(lambda b: scores[b], np.array([0]), np.zeros(50, int), 1, 1, seed)[0].hits[0].row
        for seed in range(20)
    }
    assert len(firsts) > 10
