"""Feature networks taught on the data at hand."""

import numpy as np

from vqmm.networks import FeatureNet
from vqmm.training.teaching import teach, teach_turns


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


def test_a_net_that_was_frozen_learns_all_the_same():
    (items, classes), (test_items, test_classes) = stripes(96, 0), stripes(30, 1)
    net = FeatureNet((4, 8))
    net.build((None, 12, 12, 1))
    for variable in net.variables:  # as `VQGAN` does
        variable.trainable = False
    before = [np.array(v) for v in net.variables]
    teach(net, items, classes, test_items, test_classes, steps=5, shift=1)
    assert all(np.abs(np.asarray(v) - old).max() > 1e-4 for v, old in zip(net.variables, before, strict=True))
    assert not net.trainable_variables and not any(v.trainable for v in net.variables)


def test_without_labels_it_learns_which_way_up():
    pictures, _ = stripes(60, 0)
    assert teach_turns(FeatureNet((4, 8)), [pictures[:30], pictures[30:]], steps=80).accuracy > 0.9
    wide = np.concatenate([pictures, pictures[:, :, :5]], axis=2)
    assert teach_turns(FeatureNet((4, 8)), [wide], steps=20).classifier.output_shape == (None, 4)
