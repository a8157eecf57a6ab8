import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import jaccard_score

from vqmm.metrics import code_figures, item_histograms, sharing_figures
from vqmm.metrics.codes import entropy, entropy_ratio, exclusive, js_divergence, mixed, perplexity, usage

COUNTS = st.lists(st.integers(0, 50), min_size=6, max_size=6).filter(any)


@settings(max_examples=40)
@given(COUNTS, COUNTS)
def test_against_scipy_and_sklearn(a, b):
    a, b = np.array(a), np.array(b)
    assert entropy(a) == pytest.approx(stats.entropy(a, base=2), abs=1e-9)
    assert perplexity(a) == pytest.approx(np.exp(stats.entropy(a)))
    assert js_divergence(a, b) == pytest.approx(jensenshannon(a, b, base=2) ** 2, abs=1e-9)
    assert 1 - exclusive(a, b) == pytest.approx(jaccard_score(a > 0, b > 0))


def test_known_values():
    assert entropy_ratio(np.array([5, 5, 5, 5])) == pytest.approx(1.0)
    assert entropy_ratio(np.array([3])) == 1.0
    assert usage(np.array([[0, 2, 0, 0], [1, 1, 1, 0]])).tolist() == [0.25, 0.75]
    assert entropy(np.zeros(4)) == 0.0


def test_mixed_weighs_modalities_alike():
    # 20 of 100 against 8 of 1000: of the code's rates the second is 0.008 / 0.208.
    assert mixed(np.array([20, 80]), np.array([8, 992])) == 0.5
    assert mixed(np.array([1, 1]), np.array([100, 100])) == 1.0


def test_item_histograms_count_each_item():
    codes = np.array([[10, 11, 10], [13, 13, 13]])
    np.testing.assert_array_equal(item_histograms(codes, 4, 10), [[2, 1, 0, 0], [0, 0, 0, 3]])
    with pytest.raises(ValueError, match="range is 10..12"):
        item_histograms(codes, 3, 10)


def test_figures_of_histograms():
    a = item_histograms(np.array([[0, 1], [0, 2]]), 5)
    b = item_histograms(np.array([[0, 1], [3, 3], [0, 1]]), 5)
    health = code_figures(a, resamples=20)
    assert health.usage.value == pytest.approx(0.6) and health.usage.n == 2
    assert health.perplexity.value == pytest.approx(2**1.5)
    sharing = sharing_figures(a, b, resamples=20)
    assert sharing.exclusive.value == pytest.approx(0.5)  # codes 2 and 3 of 0, 1, 2, 3
    assert sharing.overlap.value == pytest.approx(0.5)
    assert sharing.js_divergence.value == pytest.approx(
        jensenshannon([2, 1, 1, 0, 0], [2, 2, 0, 2, 0], base=2) ** 2
    )
