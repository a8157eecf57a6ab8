"""Copies of training items show."""

import numpy as np

from vqmm.evaluation.memorising import memorising_section, nearest_training


def test_the_nearest_item_has_most_codes_in_common():
    training = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    found = nearest_training(np.array([[5, 6, 0, 0], [1, 2, 3, 4]]), training)
    assert found.rows.tolist() == [1, 0] and found.equal.tolist() == [0.5, 1.0]


def test_a_prior_that_repeats_its_training_items_is_found_out():
    rng = np.random.default_rng(0)
    training, fresh = rng.integers(0, 6, (2, 80, 20))
    copied = memorising_section(training[:30], fresh, training, 50, 0)
    honest = memorising_section(fresh[:30], fresh, training, 50, 0)
    assert copied["copies"]["value"] == 1.0 and copied["equal_codes"]["value"] == 1.0
    assert honest["copies"]["value"] == 0.0
    assert (
        abs(honest["equal_codes"]["value"] - honest["held_out"]["value"]) < 0.05 < copied["held_out"]["value"]
    )
