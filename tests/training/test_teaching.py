"""Feature networks taught on the data at hand."""

import numpy as np
import pytest
import tensorflow as tf

from vqmm.errors import UserError
from vqmm.networks import FeatureNet
from vqmm.training.teaching import pictures_of, teach, teach_perceiver, teach_turns


def stripes(n, seed):
    """Pictures 12 x 12 that are dark at the top, with a bright spot whose place is the class."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    pictures = rng.uniform(0, 0.1, size=(n, 12, 12, 1)) + np.linspace(0, 0.5, 12)[:, None, None]
    for picture, place in zip(pictures, classes, strict=True):
        picture[8:10, 1 + 4 * place : 3 + 4 * place] += 0.5
    return pictures.astype("float32"), classes


def test_it_learns_the_classes_and_features_are_what_the_classifier_reads():
    (items, classes), (test_items, test_classes) = stripes(96, 0), stripes(30, 1)
    found = teach(FeatureNet((4, 8)), items, classes, test_items, test_classes, steps=120, shift=1)
    assert found.accuracy > 0.9
    kernel, bias = found.classifier.layers[-1].get_weights()
    logits = found.embedder.predict(test_items, verbose=0) @ kernel + bias
    np.testing.assert_array_equal(logits.argmax(1), found.classifier.predict(test_items, verbose=0).argmax(1))
    assert not found.net.trainable_variables


def test_pictures_of_few_pixels_teach_too():
    """Four halvings of 12 x 12 leave one cell, of the 4 x 4 that are kept of larger pictures."""
    (items, classes), (test_items, test_classes) = stripes(96, 0), stripes(30, 1)
    found = teach(FeatureNet((4, 8, 8, 8, 8)), items, classes, test_items, test_classes, steps=2, shift=1)
    assert found.classifier.output_shape == (None, 3)


def test_a_net_that_was_frozen_learns_all_the_same():
    (items, classes), (test_items, test_classes) = stripes(96, 0), stripes(30, 1)
    net = FeatureNet((4, 8))
    net.build((None, 12, 12, 1))
    for variable in net.variables:  # as `VQGAN` does
        variable.trainable = False
    before = [v.numpy() for v in net.variables]
    teach(net, items, classes, test_items, test_classes, steps=5, shift=1)
    assert all(np.abs(np.asarray(v) - old).max() > 1e-4 for v, old in zip(net.variables, before, strict=True))
    assert not net.trainable_variables and not any(v.trainable for v in net.variables)


def test_without_labels_it_learns_which_way_up():
    pictures, _ = stripes(60, 0)
    assert teach_turns(FeatureNet((4, 8)), [pictures[:30], pictures[30:]], steps=80).accuracy > 0.9
    wide = np.concatenate([pictures, pictures[:, :, :5]], axis=2)
    assert teach_turns(FeatureNet((4, 8)), [wide], steps=20).classifier.output_shape == (None, 4)


def batches_of(pictures, there):
    """Training batches of four, in which pictures may be missing."""
    return [
        {"image": tf.constant(pictures[at : at + 4]), "image_mask": tf.constant(there[at : at + 4])}
        for at in range(0, len(pictures), 4)
    ]


def test_pictures_that_are_there_are_taken_up_to_a_limit():
    pictures, _ = stripes(12, 0)
    there = np.arange(12) % 3 > 0
    batches = batches_of(pictures, there)
    np.testing.assert_array_equal(pictures_of(batches), pictures[there])
    most = 5 * pictures[0].nbytes + 3

    def until_there_are_enough():
        yield from batches[:2]
        raise AssertionError("there were enough")

    np.testing.assert_array_equal(pictures_of(until_there_are_enough(), most), pictures[there][:5])
    assert pictures_of(batches, most=1).shape == (0, 12, 12, 1)


def test_a_perceiver_of_two_replicas_learns_what_one_net_does(two_replicas):
    pictures, _ = stripes(40, 0)
    batches = batches_of(pictures, np.ones(40, bool))
    with two_replicas.scope():
        spread = FeatureNet((4, 8), seed=3)
        spread.build((None, 12, 12, 1))
    alone = FeatureNet((4, 8), seed=3)
    found = teach_perceiver(spread, batches, 40, steps=20, seed=1)
    assert found.accuracy == teach_turns(alone, [pictures], steps=20, seed=1).accuracy
    for variable, wanted in zip(spread.variables, alone.variables, strict=True):
        copies = two_replicas.experimental_local_results(variable.value)
        assert len(copies) == 2
        for copy in copies:
            np.testing.assert_array_equal(copy, wanted)


@pytest.mark.parametrize(("held", "shown"), [(3, 12), (40, 4), (40, 0)])
def test_too_few_pictures_to_teach_on_are_told(held, shown):
    pictures, _ = stripes(12, 0)
    batches = batches_of(pictures, np.arange(12) < shown)
    with pytest.raises(UserError, match=f"{min(held, shown)} pictures to teach on, and 10 .*features=random"):
        teach_perceiver(FeatureNet((4, 8)), batches, held, steps=5)
