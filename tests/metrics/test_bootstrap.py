import numpy as np
import pytest
from scipy import stats

from vqmm.metrics import bootstrap_figure, histogram_figures
from vqmm.metrics.codes import entropy, usage


def test_mean_interval_is_the_normal_one_for_many_values():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = bootstrap_figure(values, resamples=4000)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.ci95 == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_agrees_with_scipy_for_the_median():
    values = np.random.default_rng(1).exponential(size=151)
    found = bootstrap_figure(values, "median", resamples=5000)
    low, high = stats.bootstrap(
        (values,), np.median, n_resamples=5000, method="percentile", random_state=3
    ).confidence_interval
    assert found.ci95 == pytest.approx((low, high), abs=0.04)


def test_same_seed_same_interval():
    values = np.random.default_rng(2).random(30)
    assert bootstrap_figure(values, seed=5) == bootstrap_figure(values, seed=5)
    assert bootstrap_figure(values, seed=5).ci95 != bootstrap_figure(values, seed=6).ci95


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], r"values of shape \(0,\): give a list of one or more numbers"),
        ([[1.0]], r"values of shape \(1, 1\)"),
        ([1.0, np.nan, np.inf], r"2 of 3 values are not finite, the first \(nan\) at 1: leave them out"),
    ],
)
def test_refuses_what_is_no_list_of_numbers(values, words):
    with pytest.raises(ValueError, match=words):
        bootstrap_figure(np.array(values))


def test_refuses_another_statistic():
    with pytest.raises(ValueError, match="legal: mean, median"):
        bootstrap_figure(np.ones(3), "mode")


def test_histogram_interval_covers_the_truth():
    """Of 100 samples from a known histogram, about 95 intervals hold its plug-in expectation."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(8))
    samples = rng.multinomial(400, p, size=100)
    centre = np.mean([entropy(s) for s in samples])
    held = 0
    for sample in samples:
        items = np.repeat(np.eye(8), sample, axis=0)
        low, high = histogram_figures(items, {"h": entropy}, {"h": (0, 3)}, 200)["h"].ci95
        held += low <= centre <= high
    assert 88 <= held <= 100


def test_full_usage_stays_inside_its_bounds():
    found = histogram_figures(np.eye(8), {"usage": usage}, {"usage": (0.0, 1.0)}, 100)["usage"]
    assert found.value == 1.0 and found.ci95[1] == 1.0 and found.ci95[0] < 1.0


def test_one_item_has_a_value_and_no_interval():
    found = bootstrap_figure(np.array([0.25]), chance=0.1)
    assert found[:4] == (0.25, None, 1, 0.1) and found.note.startswith("no interval: 1 item is too few")
    assert histogram_figures(np.eye(4)[:1], {"h": entropy}, {"h": (0, 2)}, 50)["h"].ci95 is None
