import numpy as np
from sklearn.metrics import confusion_matrix

from vqmm.metrics import top1_confusion


def test_agrees_with_sklearn_without_ties():
    rng = np.random.default_rng(0)
    scores = rng.random((600, 40))
    asked, answers = rng.integers(0, 4, 600), rng.integers(0, 4, 40)
    found = top1_confusion(lambda block: scores[block], asked, answers, 4)
    expected = confusion_matrix(asked, answers[scores.argmax(1)], labels=range(4), normalize="true")
    np.testing.assert_allclose(found, expected)


def test_ties_share_the_first_place_and_unasked_labels_stay_empty():
    scores = np.array([[0.5, 0.5, 0.5, 0.1]])
    found = top1_confusion(lambda block: scores[block], np.array([1]), np.array([0, 1, 1, 2]), 4)
    np.testing.assert_allclose(found, [[0, 0, 0, 0], [1 / 3, 2 / 3, 0, 0], [0] * 4, [0] * 4])
