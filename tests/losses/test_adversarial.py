"""Losses of generator and discriminator, against the original VQGAN and closed forms."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from vqmm.losses import adversarial as gan
from vqmm.networks import Discriminator

PEER = np.load(Path(__file__).with_name("golden") / "taming.npz")
KINDS = ("hinge", "nonsaturating")


def peer(name):
    value = PEER[name]
    return value.transpose(0, 2, 3, 1) if value.ndim == 4 and "kernel" not in name else value


def kernel(value):
    return value.transpose(2, 3, 1, 0)


def discriminator():
    """Ours with the original's weights."""
    layer = Discriminator((8, 16, 32), norm="batch")
    layer.build((None, 32, 32, 1))
    names = ["main.0.weight", "main.0.bias"]
    for place in (2, 5):
        names += [f"main.{place}.weight", f"main.{place + 1}.weight", f"main.{place + 1}.bias"]
    names += ["main.8.weight", "main.8.bias"]
    for variable, name in zip(layer.trainable_variables, names, strict=True):
        value = PEER[f"discriminator/{name}"]
        variable.assign(kernel(value) if value.ndim == 4 else value)
    return layer, names


def everything(n=4):
    return tf.ones(n, tf.bool)


def test_the_discriminator_judges_as_the_original():
    layer, _ = discriminator()
    (logits,) = layer(peer("real"), training=True).logits
    np.testing.assert_allclose(logits, peer("logits_real"), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_critics_loss_and_its_gradients_are_the_originals(kind):
    layer, names = discriminator()
    with tf.GradientTape() as tape:
        real, fake = (layer(peer(x), training=True).logits for x in ("real", f"{kind}/rebuilt"))
        loss = gan.discriminator_loss(real, fake, everything(), kind)
    np.testing.assert_allclose(loss, PEER[f"{kind}/critic"], atol=1e-5)
    for name, found in zip(names, tape.gradient(loss, layer.trainable_variables), strict=True):
        wanted = PEER[f"{kind}/gradient/{name}"]
        wanted = kernel(wanted) if wanted.ndim == 4 else wanted
        np.testing.assert_allclose(found, wanted, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_generators_loss_and_adaptive_weight_are_the_originals(kind):
    layer, _ = discriminator()
    last = tf.Variable(kernel(PEER["kernel"]))
    with tf.GradientTape(persistent=True) as tape:
        rebuilt = tf.nn.conv2d(peer("hidden"), last, 1, "SAME") + PEER["bias"]
        near = tf.reduce_mean(tf.abs(peer("real") - rebuilt))
        push = gan.generator_loss(layer(rebuilt, training=True).logits, everything())
    lengths = [tf.norm(tape.gradient(x, last)) for x in (near, push)]
    weight = gan.adaptive_weight(*lengths)
    np.testing.assert_allclose(0.8 * weight, PEER[f"{kind}/weight"], rtol=1e-4)
    np.testing.assert_allclose(push, PEER[f"{kind}/generator"], atol=1e-5)
    np.testing.assert_allclose(near + 0.8 * weight * push, PEER[f"{kind}/total"], rtol=1e-4)
    slopes = [tape.gradient(x, [rebuilt, last]) for x in (near, push)]
    whole = [a + 0.8 * weight * b for a, b in zip(*slopes, strict=True)]
    np.testing.assert_allclose(whole[0], peer(f"{kind}/gradient_rebuilt"), atol=1e-4)
    np.testing.assert_allclose(whole[1], kernel(PEER[f"{kind}/gradient_kernel"]), atol=1e-4)


def logits(*values):
    return [tf.constant(np.reshape(v, (len(v), 1, 1, 1)), tf.float32) for v in values]


def test_terms_by_hand():
    real, fake = logits([2.0, 0.0]), logits([-3.0, 1.0])
    mask = tf.ones(2, tf.bool)
    assert float(gan.discriminator_loss(real, fake, mask)) == pytest.approx(0.5 * (0.5 + 1.0))
    assert float(gan.generator_loss(fake, mask)) == pytest.approx(1.0)
    assert float(gan.generator_loss(fake, mask, "nonsaturating")) == pytest.approx(
        0.5 * (np.log1p(np.exp(3)) + np.log1p(np.exp(-1)))
    )
    assert float(gan.discriminator_accuracy(real, fake, mask)) == pytest.approx(0.5)
    assert float(gan.mean_logit(real, mask)) == pytest.approx(1.0)
    # (2 - 1)^2, (0 - 1)^2 against the fake mean 1; (-3 - 2)^2, (1 - 2)^2 against the real mean 2
    assert float(gan.lecam_loss(real, fake, mask, 2.0, 1.0)) == pytest.approx(1.0 + 13.0)
    assert float(gan.feature_matching_loss(real, fake, mask)) == pytest.approx(0.5 * (5.0 + 1.0))


def test_items_that_are_missing_take_no_part_and_scales_count_alike():
    mask = tf.constant([True, False])
    one = gan.discriminator_loss(logits([0.5, 9.0]), logits([0.5, 9.0]), mask)
    both = gan.discriminator_loss(logits([0.5, 9.0], [0.5, 7.0]), logits([0.5, 9.0], [0.5, 7.0]), mask)
    assert float(one) == pytest.approx(0.5 * (0.5 + 1.5)) == pytest.approx(float(both))


def test_the_weight_is_bounded_and_has_no_gradient():
    assert float(gan.adaptive_weight(ops.ones(()), ops.zeros(()))) == pytest.approx(1e4)
    assert float(gan.adaptive_weight(ops.ones(()), ops.zeros(()), most=3.0)) == 3.0
    length = tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch(length)
        weight = gan.adaptive_weight(length, length)
    assert tape.gradient(weight, length) is None


def test_another_kind_is_refused_by_name():
    with pytest.raises(ValueError, match="kind='wasserstein'; legal: hinge, nonsaturating"):
        gan.generator_loss(logits([1.0]), tf.ones(1, tf.bool), "wasserstein")
