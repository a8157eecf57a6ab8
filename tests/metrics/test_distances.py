"""Distances between sets of features, against closed forms and plain loops."""

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from vqmm.metrics import (
    Rebuilt,
    active_units,
    classifier_score,
    frechet_difference,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from vqmm.metrics.kernel_distance import mean_over_pairs


def features(n, seed, dim=5, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(shift, scale, size=(n, dim))


def test_frechet_is_that_of_the_fitted_gaussians():
    real, fake = features(200, 0), features(150, 1, shift=0.3, scale=1.7)
    s, t = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    wanted = np.square(real.mean(0) - fake.mean(0)).sum() + np.trace(s + t - 2 * linalg.sqrtm(s @ t).real)
    found = frechet_distance(real, fake)
    assert found.value == pytest.approx(wanted, rel=1e-8)
    assert found.ci95[0] < found.value < found.ci95[1] and found.n == 150


def test_frechet_of_shifted_copies_is_the_squared_shift():
    real = features(100, 0)
    assert frechet_distance(real, real + 2.0, resamples=0).value == pytest.approx(5 * 4.0)
    assert frechet_distance(real, real).value == pytest.approx(0.0, abs=1e-8)


@given(st.integers(0, 10**6), st.floats(0.1, 3.0))
@settings(max_examples=20)
def test_frechet_does_not_change_under_rotations_and_is_symmetric(seed, scale):
    real, fake = features(30, seed, 4), features(40, seed + 1, 4, 0.5, scale)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))[0]
    found = frechet_distance(real, fake, resamples=0).value
    assert frechet_distance(real @ turn, fake @ turn, resamples=0).value == pytest.approx(found, abs=1e-8)
    assert frechet_distance(fake, real, resamples=0).value == pytest.approx(found, abs=1e-8)


def test_a_difference_of_frechet_distances_is_known_better_than_either():
    real = features(150, 0)
    noise = features(150, 1, scale=0.3)
    far, near = real + noise + 0.35, real + noise + 0.3
    found = frechet_difference([Rebuilt(real, far)] * 2, [Rebuilt(real, near)] * 2)
    alone = [frechet_distance(real, x) for x in (far, near)]
    assert found.value == pytest.approx(alone[0].value - alone[1].value, rel=1e-9) and found.n == 150
    assert 0 < found.ci95[0] < found.value < found.ci95[1]
    assert alone[1].ci95[1] > alone[0].ci95[0]  # by themselves they overlap
    back = frechet_difference([Rebuilt(real, near)], [Rebuilt(real, far)])
    assert back.value == pytest.approx(-found.value)
    np.testing.assert_allclose(back.ci95, [-x for x in reversed(found.ci95)], rtol=1e-6)


def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says():
    """Both models add noise of the same kind: the difference of their distances is nothing."""
    held = 0
    for trial in range(60):
        real = features(80, 3 * trial, 3)
        ours, theirs = (real + features(80, 3 * trial + n, 3, scale=0.5) for n in (1, 2))
        low, high = frechet_difference([Rebuilt(real, ours)], [Rebuilt(real, theirs)]).ci95
        held += low <= 0.0 <= high
    assert held >= 52  # 57 of 60 expected; 52 or fewer in 1 of 50 tables of a true 95 %


def test_other_items_are_refused():
    with pytest.raises(ValueError, match=r"\[9, 10\] items"):
        frechet_difference(
            [Rebuilt(features(9, 0), features(9, 1))], [Rebuilt(features(10, 0), features(10, 1))]
        )


def kernel(x, y):
    return (x @ y / len(x) + 1) ** 3


@pytest.mark.parametrize("paired", [False, True])
def test_kernel_distance_is_the_unbiased_estimate(paired):
    real, fake = features(20, 0), features(20 if paired else 25, 1, shift=0.5)
    within = [np.mean([kernel(a, b) for a, b in itertools.permutations(side, 2)]) for side in (real, fake)]
    across = np.mean(
        [kernel(a, b) for i, a in enumerate(real) for j, b in enumerate(fake) if not paired or i != j]
    )
    found = kernel_distance(real, fake, paired=paired)
    assert found.value == pytest.approx(sum(within) - 2 * across, rel=1e-9) and found.n == len(fake)
    assert found.ci95[0] < found.value < found.ci95[1]


def test_copies_of_the_very_items_are_at_no_kernel_distance():
    real = features(30, 0)
    found = kernel_distance(real, real, paired=True)
    assert [found.value, *found.ci95] == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)


def test_an_item_that_was_drawn_twice_makes_no_pair_with_itself():
    items = features(6, 0)
    gram = np.array([[kernel(a, b) for b in items] for a in items])
    drawn = [0, 0, 0, 2, 5, 5]
    counts = np.bincount(drawn, minlength=6).astype("float64")[None]
    wanted = np.mean([gram[a, b] for a, b in itertools.permutations(drawn, 2) if a != b])
    assert mean_over_pairs(gram, counts, counts) == pytest.approx([wanted])


@pytest.mark.parametrize("count", [40, 150, 260])
def test_the_interval_of_a_kernel_distance_holds_the_truth_as_often_as_it_says(count):
    """Normal distributions whose means lie q apart, squared: the moments of the kernel are known."""
    dim, shift = 5, 0.5
    q = dim * shift**2
    truth = 3 * q / dim + 3 * q**2 / dim**2 + (q**3 + 6 * q**2 + 3 * q * dim + 6 * q) / dim**3
    found = [
        kernel_distance(features(count, 2 * trial), features(count, 2 * trial + 1, shift=shift), 300)
        for trial in range(100)
    ]
    values, widths = [x.value for x in found], [x.ci95[1] - x.ci95[0] for x in found]
    assert np.mean(values) == pytest.approx(truth, abs=3 * np.std(values) / 10)
    assert sum(x.ci95[0] <= truth <= x.ci95[1] for x in found) >= 88
    assert np.mean(widths) == pytest.approx(3.92 * np.std(values), rel=0.2)


def test_the_interval_of_a_paired_kernel_distance_holds_the_truth():
    """What is made of an item lies near it: the pairs are drawn anew, and no item is set against its own."""
    rng = np.random.default_rng(0)

    def draw(count):
        real = rng.normal(size=(count, 3))
        return real, real + rng.normal(0.4, 0.3, size=(count, 3))

    truth = kernel_distance(*draw(4000), resamples=1, paired=True).value
    found = [kernel_distance(*draw(100), resamples=200, paired=True) for _ in range(100)]
    assert sum(x.ci95[0] <= truth <= x.ci95[1] for x in found) >= 88


def test_a_larger_number_of_resamples_does_not_narrow_the_interval():
    real, fake = features(100, 0), features(100, 1, shift=0.5)
    few, many = (kernel_distance(real, fake, resamples).ci95 for resamples in (200, 4000))
    assert many[1] - many[0] == pytest.approx(few[1] - few[0], rel=0.15)


def test_large_sets_are_sampled_and_pairs_stay_together(monkeypatch):
    monkeypatch.setattr(sys.modules[kernel_distance.__module__], "MOST", 50)
    real = features(120, 0)
    found = kernel_distance(real, real, paired=True)
    assert found.value == pytest.approx(0.0, abs=1e-12) and found.n == 50
    assert kernel_distance(real, features(30, 1)).n == 30


def test_kernel_distance_of_the_same_distribution_is_about_zero():
    same = kernel_distance(features(800, 0), features(800, 1))
    other = kernel_distance(features(800, 0), features(800, 1, shift=0.5))
    assert same.ci95[0] < 0 < same.ci95[1] < 0.05 < other.ci95[0]


def test_precision_and_recall_on_a_line():
    real = np.arange(10.0)[:, None]
    found = precision_recall(real, np.array([[2.1], [2.2], [2.3], [50.0]]), neighbours=1)
    assert found.precision.value == 0.75
    whole = precision_recall(real, real + 0.01, neighbours=1)
    assert whole.precision.value == whole.recall.value == 1.0
    narrow = precision_recall(real, np.linspace(4.0, 5.0, 10)[:, None], neighbours=1)
    assert narrow.precision.value == 1.0 and narrow.recall.value <= 0.2


def test_classifier_score_between_one_and_the_number_of_classes():
    sure = np.eye(4)[np.arange(40) % 4]
    assert classifier_score(sure).value == pytest.approx(4.0)
    assert classifier_score(np.full((40, 4), 0.25)).value == pytest.approx(1.0)
    assert classifier_score(np.eye(4)[np.zeros(40, int)]).value == pytest.approx(1.0)
    p = np.random.default_rng(0).dirichlet(np.ones(4), 30)
    wanted = np.exp(np.mean([(q * np.log(q / p.mean(0))).sum() for q in p]))
    assert classifier_score(p).value == pytest.approx(wanted)


def test_the_interval_of_a_classifier_score_ends_at_the_number_of_classes():
    p = 0.98 * np.eye(3)[np.arange(14) % 3] + 0.02 / 3  # not as many of each: a resample may be more even
    found = classifier_score(p)
    assert 1 < found.ci95[0] < found.value < found.ci95[1] <= 3
    sure = classifier_score(np.eye(3)[np.arange(14) % 3])
    assert sure.value < sure.ci95[1] == 3.0


def test_active_units_are_those_that_vary():
    means = np.zeros((50, 4))
    means[:, 1] = np.linspace(-1, 1, 50)
    means[:, 2] = 7.0
    means[:, 3] = np.linspace(-0.01, 0.01, 50)
    assert active_units(means).value == 0.25


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: frechet_distance(np.zeros((3, 2)), np.zeros((3, 4))), r"shapes \(3, 2\) and \(3, 4\)"),
        (lambda: frechet_distance(np.zeros((1, 2)), np.zeros((3, 2))), "2 items or more"),
        (
            lambda: frechet_distance(np.full((3, 2), np.nan), np.zeros((3, 2))),
            "real features of 3 of 3 items",
        ),
        (
            lambda: frechet_distance(np.zeros((3, 2)), np.diag([0, np.inf, 0])[:, :2]),
            "fake .* 1 of 3 .* item 1",
        ),
        (lambda: kernel_distance(np.zeros(3), np.zeros((3, 2))), r"\[items, F\]"),
        (lambda: kernel_distance(np.zeros((3, 2)), np.zeros((4, 2)), paired=True), "3 and 4 items.*pairs"),
        (lambda: kernel_distance(np.zeros((3, 2)), np.full((3, 2), np.nan)), "fake features.*not finite"),
        (lambda: precision_recall(np.zeros((3, 2)), np.zeros((9, 2))), "3 real and 9 fake"),
        (lambda: classifier_score(np.ones((3, 2))), "sum to 1"),
        (lambda: active_units(np.zeros((1, 2))), "2 items or more"),
    ],
)
def test_what_cannot_be_measured_is_said(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_six_items_of_many_features_have_no_frechet_interval():
    found = frechet_distance(features(6, 0, 64), features(6, 1, 64))
    assert found.ci95 is None and "6 items are too few, it takes 65" in found.note and found.value > 0
