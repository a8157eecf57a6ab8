"""Cross-entropy over 256 levels, against SciPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vqmm.losses import likelihood_loss
from vqmm.networks.outputs import COMPONENTS, expected_value, mixture

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, size=(3, 2, 2, 2)) / 255.0
PICTURES[0, 0, 0], PICTURES[1, 1, 1] = 0.0, 1.0
ALL = tf.ones(3, tf.bool)


def test_categorical_is_the_softmax_at_the_level():
    logits = RNG.normal(size=(3, 2, 2, 2 * 256)).astype("float32")
    chances = np.exp(logits.reshape(3, 2, 2, 2, 256))
    chances /= chances.sum(-1, keepdims=True)
    level = np.round(PICTURES * 255).astype(int)
    wanted = -np.log(np.take_along_axis(chances, level[..., None], -1)).mean()
    assert float(likelihood_loss(PICTURES, logits, ALL, "categorical")) == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(
        expected_value(logits, "categorical"), (chances * np.arange(256) / 255).sum(-1), rtol=1e-4
    )
    mask = tf.constant([True, False, False])
    alone = likelihood_loss(PICTURES[:1], logits[:1], ALL[:1], "categorical")
    assert float(likelihood_loss(PICTURES, logits, mask, "categorical")) == pytest.approx(
        float(alone), rel=1e-5
    )


def test_logistic_is_the_mass_of_the_mixture_in_the_bin_and_the_ends_take_the_tails():
    parameters = RNG.normal(scale=0.3, size=(3, 2, 2, 2 * 3 * COMPONENTS)).astype("float32")
    found = mixture(parameters)
    share = np.exp(found.logits) / np.exp(found.logits).sum(-1, keepdims=True)
    law = stats.logistic(np.array(found.means, "float64"), np.exp(np.array(found.log_scales, "float64")))
    level = np.round(PICTURES * 255)[..., None]
    above = np.where(level < 255, law.cdf((level + 0.5) / 255), 1.0)
    below = np.where(level > 0, law.cdf((level - 0.5) / 255), 0.0)
    wanted = -np.log((share * (above - below)).sum(-1)).mean()
    assert float(likelihood_loss(PICTURES, parameters, ALL, "logistic")) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(("output", "each"), [("categorical", 256), ("logistic", 3 * COMPONENTS)])
def test_a_distribution_that_is_fitted_says_what_was_there(output, each):
    """Gradients are finite far out as well, and the mean comes to the picture."""
    pictures = np.full((1, 1, 1, 1), 0.7, "float32")
    parameters = tf.Variable(np.full((1, 1, 1, each), -3.0, "float32"))
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(400):
        with tf.GradientTape() as tape:
            loss = likelihood_loss(pictures, parameters, ALL[:1], output)
        gradient = tape.gradient(loss, parameters)
        assert np.isfinite(gradient).all()
        optimizer.apply([gradient], [parameters])
    np.testing.assert_allclose(expected_value(parameters, output), pictures, atol=0.02)
