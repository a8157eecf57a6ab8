import numpy as np
import pytest

from vqmm.metrics import Labelled, bag_of_codes, code_transfer, one_hot_slots

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(4), 30)


def codes_of(labels, agreeing):
    """Two slots: the first follows the label in both modalities only if agreeing."""
    first = labels if agreeing else (labels + 1) % 4
    return np.stack([first, RNG.integers(0, 4, len(labels))], axis=1)


def labelled(agreeing):
    return Labelled(one_hot_slots(codes_of(LABELS, agreeing), 4), LABELS)


def test_shared_codes_transfer_and_swapped_ones_do_not():
    train, within = labelled(True), labelled(True)
    same = code_transfer(train, within, labelled(True), resamples=20)
    assert same.across.value == same.within.value == 1.0 and same.within.chance == 0.25
    found = code_transfer(train, within, labelled(False), resamples=20)
    assert found.within.value == 1.0 and found.across.value == 0.0


def test_one_hot_slots_are_blocks():
    found = one_hot_slots(np.array([[1, 0], [2, 2]]), 3).toarray()
    np.testing.assert_array_equal(found, [[0, 1, 0, 1, 0, 0], [0, 0, 1, 0, 0, 1]])


def test_needs_two_labels():
    bag = Labelled(bag_of_codes(np.zeros((3, 2), int), 4), np.zeros(3))
    with pytest.raises(ValueError, match="at least two"):
        code_transfer(bag, bag, bag)
