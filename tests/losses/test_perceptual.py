"""Distances in features, replayed in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from vqmm.losses import multiresolution_loss, perceptual_distance, perceptual_loss


def maps(seed, n=3):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 4, 4, 5)).astype("float32"), rng.normal(size=(n, 2, 2, 7)).astype("float32")]


def test_distance_is_that_of_unit_vectors():
    one, other = maps(0), maps(1)
    wanted = np.zeros(3)
    for a, b in zip(one, other, strict=True):
        a, b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
        wanted += np.square(a - b).sum(-1).mean((1, 2))
    np.testing.assert_allclose(perceptual_distance(one, other), wanted, rtol=1e-5)
    np.testing.assert_allclose(perceptual_distance(one, [3.0 * x for x in one]), 0.0, atol=1e-5)
    np.testing.assert_allclose(perceptual_distance(one, [-x for x in one]), 8.0, rtol=1e-4)
    mask = tf.constant([True, False, True])
    assert float(perceptual_loss(one, other, mask)) == pytest.approx(wanted[[0, 2]].mean(), rel=1e-5)


def test_dead_features_give_no_nan():
    dead = [tf.Variable(np.zeros((1, 2, 2, 3), "float32"))]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(perceptual_distance([np.ones((1, 2, 2, 3), "float32")], dead))
    assert np.isfinite(tape.gradient(loss, dead)[0]).all()


def test_coarser_resolutions_forgive_small_shifts():
    rng = np.random.default_rng(0)
    mel = rng.normal(size=(2, 8, 6, 1)).astype("float32")
    other = rng.normal(size=(2, 8, 6, 1)).astype("float32")
    error, parts = mel - other, []
    for _ in range(3):
        parts.append(np.abs(error).mean())
        rows, columns = (size // 2 * 2 for size in error.shape[1:3])
        cut = error[:, :rows, :columns]
        error = cut.reshape(2, rows // 2, 2, columns // 2, 2, 1).mean((2, 4))
    found = multiresolution_loss(mel, other, tf.ones(2, tf.bool), halvings=5)
    assert float(found) == pytest.approx(np.mean(parts), rel=1e-5)
    shifted = np.roll(mel, 1, axis=1)
    plain, coarse = (float(multiresolution_loss(mel, shifted, tf.ones(2, tf.bool), h)) for h in (0, 2))
    assert coarse < plain
