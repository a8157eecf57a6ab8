"""Rounding to 8 bits in training: against numpy, and nothing of it afterwards."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import Config
from vqmm.models import build_model
from vqmm.networks import Encoder
from vqmm.networks.eight_bits import EightBitConv2D, EightBitDense, EightBits, rounded_kernel, rounded_values
from vqmm.training.optimizer import compile_model
from vqmm.training.precision import precision


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def kernel_steps(kernel):
    step = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1))) / 127
    return np.round(kernel / step) * step


@pytest.mark.parametrize("x", [normal(4, 5, 3), np.abs(normal(50)) + 2, np.linspace(-3, -1, 40, dtype="f")])
def test_values_lie_on_256_steps_that_hold_zero(x):
    found = np.array(rounded_values(x))
    low, high = min(x.min(), 0), max(x.max(), 0)
    step = (high - low) / 255
    assert len(np.unique(found)) <= 256
    np.testing.assert_allclose(found / step, np.round(found / step), atol=1e-2)
    # The zero is moved to a step: at most one more half step at the ends.
    np.testing.assert_allclose(found, x, atol=1.01 * step)


def test_zeros_stay_zeros():
    np.testing.assert_array_equal(rounded_values(np.zeros((3, 4), "float32")), np.zeros((3, 4)))
    np.testing.assert_array_equal(rounded_kernel(np.zeros((3, 4), "float32")), np.zeros((3, 4)))


@pytest.mark.parametrize("shape", [(3, 3, 2, 5), (7, 5)])
def test_kernels_lie_on_255_steps_of_each_channel(shape):
    kernel = normal(*shape)
    np.testing.assert_allclose(rounded_kernel(kernel), kernel_steps(kernel), atol=1e-6)
    # Batch normalisation scales channels: before or after is the same.
    scale = np.array([0.01, 3.0, 1.0, 40.0, 0.5], "float32")
    np.testing.assert_allclose(
        rounded_kernel(kernel * scale), np.array(rounded_kernel(kernel)) * scale, rtol=1e-4
    )


def test_gradients_pass_straight_through():
    x, kernel = tf.Variable(normal(6, 4)), tf.Variable(normal(4, 3, seed=1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(rounded_values(x.value())) + 2 * tf.reduce_sum(rounded_kernel(kernel.value()))
    to_x, to_kernel = tape.gradient(loss, [x, kernel])
    np.testing.assert_array_equal(to_kernel, np.full((4, 3), 2.0))
    # All but what lies past the last step, where the zero was moved to one.
    assert set(np.unique(to_x)) <= {0.0, 1.0} and np.mean(to_x) > 0.9


@pytest.mark.parametrize(
    "layer, plain, shape",
    [
        (EightBitConv2D(5, 3, strides=2, padding="same"), keras.layers.Conv2D(5, 3, 2, "same"), (2, 8, 6, 3)),
        (EightBitConv2D(5, 3, use_bias=False), keras.layers.Conv2D(5, 3, use_bias=False), (2, 8, 6, 3)),
        (EightBitDense(5, "relu"), keras.layers.Dense(5, "relu"), (4, 7)),
    ],
)
def test_layers_are_the_plain_ones_but_in_training(layer, plain, shape):
    x = normal(*shape)
    layer.build(shape), plain.build(shape)
    weights = [normal(*w.shape, seed=n) for n, w in enumerate(layer.get_weights())]
    layer.set_weights(weights)
    plain.set_weights(weights)
    np.testing.assert_array_equal(layer(x), plain(x))
    plain.set_weights([kernel_steps(weights[0]), *weights[1:]])
    np.testing.assert_allclose(layer(x, training=True), plain(x), rtol=1e-4, atol=1e-4)
    assert layer.__class__.from_config(layer.get_config()).get_config() == layer.get_config()


def test_what_passes_is_rounded_in_training_alone():
    x = normal(3, 4)
    np.testing.assert_array_equal(EightBits()(x), x)
    np.testing.assert_array_equal(EightBits()(x, training=True), rounded_values(x))


@pytest.mark.parametrize("layout", ["slots", "grid"])
def test_an_encoder_has_the_weights_of_one_without(layout):
    x, encoders = normal(4, 20, 12, 1), []
    for eight_bits in (False, True):
        encoders.append(
            Encoder(
                (4, 8), 6, layout=layout, slots=3, pool=(2, 2), mean_normalised=True, eight_bits=eight_bits
            )
        )
        encoders[-1].build((None, *x.shape[1:]))
    plain, aware = encoders
    aware.set_weights(plain.get_weights())
    for one, other in zip(plain(x), aware(x), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(plain(x, training=True), aware(x, training=True), strict=True):
        assert 1e-5 < np.abs(np.array(one) - other).max() < 0.5
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(aware))
    assert twin.get_config() == aware.get_config() and twin.eight_bits


@pytest.mark.parametrize("rounded", [rounded_values, rounded_kernel])
def test_gradients_pass_at_the_ends_of_the_range_too(rounded):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, pull = (tf.constant(rng.normal(size=(6, 5)), tf.float32) for _ in range(2))
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(rounded(x) * pull)
        np.testing.assert_array_equal(tape.gradient(loss, x), pull)


def test_xla_compiles_it_to_the_same():
    layer, x = EightBitConv2D(5, 3), tf.constant(normal(2, 8, 6, 3))
    layer.build(x.shape)

    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(rounded_values(x), training=True) ** 2)
        return loss, *tape.gradient(loss, layer.trainable_variables)

    for compiled, eager in zip(tf.function(step, jit_compile=True)(x), step(x), strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("over", [{}, {"mixed_precision": True}])
def test_a_model_trains_with_it(tiny_config: Config, over):
    told = tiny_config.model_dump()
    told["model"]["eight_bits"] = True
    told["train"].update(over)
    config = Config.model_validate(told)
    with precision(config.train):
        model = build_model(config)
        compile_model(model, config)
    batch = {
        "audio": tf.constant(normal(8, 1024)),
        "image": tf.random.stateless_uniform((8, 16, 16, 1), (0, 1)),
        "audio_mask": tf.ones(8, "bool"),
        "image_mask": tf.ones(8, "bool"),
    }
    losses = [float(model.train_step(batch)["loss"]) for _ in range(4)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
