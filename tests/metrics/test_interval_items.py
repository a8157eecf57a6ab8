"""Figures of too few items have a value, no interval and the reason."""

import numpy as np
import pytest

from vqmm.metrics import (
    Rebuilt,
    bag_agreement,
    bootstrap_figure,
    classifier_score,
    code_figures,
    code_transfer,
    frechet_difference,
    frechet_distance,
    judge_retrieval,
    kernel_distance,
    one_hot_slots,
    pair_agreement,
    precision_recall,
    sharing_figures,
)
from vqmm.metrics.interval_items import FOR_MEAN, FOR_SET
from vqmm.metrics.transfer import Labelled


def features(count, seed=0, dim=4):
    return np.random.default_rng(seed).normal(size=(count, dim))


def codes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 3, (count, 2))


def labelled(count):
    labels = np.arange(count) % 2
    return Labelled(one_hot_slots(labels[:, None], 2), labels)


def retrieved(count):
    return judge_retrieval(lambda block: np.eye(count)[block], np.arange(count), np.arange(count), 100)


def histograms(count):
    return np.eye(4, dtype=int)[np.arange(count) % 4]


# What is measured, of how many items, and the fewest that have an interval.
KINDS = {
    "mean": (lambda n: [bootstrap_figure(features(n)[:, 0], resamples=100)], FOR_MEAN),
    "median": (lambda n: [bootstrap_figure(features(n)[:, 0], "median", 100)], FOR_MEAN),
    "histogram": (lambda n: code_figures(histograms(n), 100), FOR_MEAN),
    "sharing": (lambda n: sharing_figures(histograms(n)[: n // 2], histograms(n)[n // 2 :], 100), FOR_MEAN),
    "agreement": (lambda n: [pair_agreement(codes(n), codes(n, 1), 100)], FOR_MEAN),
    "bags": (lambda n: [bag_agreement(codes(n) + 1, codes(n, 1) + 1, 100)], FOR_MEAN),
    "retrieval": (retrieved, FOR_MEAN),
    "transfer": (lambda n: code_transfer(labelled(8), labelled(n), labelled(n), 100), FOR_MEAN),
    "classifier score": (lambda n: [classifier_score(np.eye(7)[np.arange(n) % 7], 50)], 8),
    "Fréchet, real": (lambda n: [frechet_distance(features(n), features(99, 1), 50)], FOR_MEAN),
    "Fréchet, fake": (lambda n: [frechet_distance(features(99, 0, 8), features(n, 1, 8), 50)], 9),
    "Fréchet difference": (
        lambda n: [
            frechet_difference(*([Rebuilt(features(n, 0, 8), features(n, s, 8))] for s in (1, 2)), 50)
        ],
        9,
    ),
    "kernel, real": (lambda n: [kernel_distance(features(n), features(99, 1), 50)], FOR_SET),
    "kernel, fake": (lambda n: [kernel_distance(features(99), features(n, 1), 50)], FOR_SET),
    "precision and recall": (lambda n: precision_recall(features(n), features(99, 1), resamples=50), FOR_SET),
}


@pytest.mark.parametrize("kind", KINDS)
def test_below_the_fewest_there_is_no_interval_but_a_reason(kind):
    measure, fewest = KINDS[kind]
    for figure in measure(fewest - 1):
        assert np.isfinite(figure.value) and figure.ci95 is None
        assert figure.note == f"no interval: {fewest - 1} items are too few, it takes {fewest}"
        tree = figure.to_json()
        assert tree["ci95"] is None and tree["note"] == figure.note
    for figure in measure(fewest):
        assert figure.ci95 is not None and figure.note == "" and "note" not in figure.to_json()


def test_the_fewest_for_a_mean_are_those_whose_range_holds_the_median_in_95_of_100_samples():
    samples = np.random.default_rng(0).normal(size=(200_000, FOR_MEAN))
    for count, enough in ((FOR_MEAN, True), (FOR_MEAN - 1, False)):
        few = samples[:, :count]
        assert (((few.min(1) < 0) & (few.max(1) > 0)).mean() >= 0.95) == enough
