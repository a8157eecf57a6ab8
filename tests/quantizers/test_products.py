"""Distances are those of float32 on hardware that rounds factors to TF32, which is imitated here."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.quantizers import FineCodes, SimVQ, VectorQuantizer, products
from vqmm.quantizers.products import exact_matmul
from vqmm.quantizers.search import nearest_rows


def tf32(x):
    """Rounded to the nearest with 10 bits after the leading one, as tensor cores take their factors."""
    bits = np.asarray(x, "float32").view("uint32").astype("uint64")
    return ((bits + 0x1000) & 0xFFFFE000).astype("uint32").view("float32")


@pytest.fixture
def rounding(monkeypatch):
    """A matmul as such a card computes it."""
    plain = keras.ops.matmul

    @tf.custom_gradient
    def rounded(a, b):
        def gradient(upstream):
            return plain(upstream, tf.linalg.matrix_transpose(b)), plain(
                tf.linalg.matrix_transpose(a), upstream
            )

        return plain(*(tf.numpy_function(tf32, [x], "float32") for x in (a, b))), gradient

    def matmul(a, b):
        return rounded(tf.convert_to_tensor(a), tf.convert_to_tensor(b))

    monkeypatch.setattr(keras.ops, "matmul", matmul)
    monkeypatch.setattr(products, "_rounds_factors", lambda: True, raising=False)
    return matmul


def vectors(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_products_and_gradients_are_those_of_float32(rounding):
    a, b = vectors(0, 50, 64), vectors(1, 64, 30)
    wanted = a.astype("float64") @ b.astype("float64")
    assert np.abs(rounding(a, b) - wanted).max() > 1e-3  # what the card does
    first, second = tf.constant(a), tf.constant(b)
    with tf.GradientTape() as tape:
        tape.watch([first, second])
        found = exact_matmul(first, second)
        total = tf.reduce_sum(found)
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    by_a, by_b = tape.gradient(total, [first, second])
    np.testing.assert_allclose(by_a, np.tile(b.sum(1), (50, 1)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_b, np.tile(a.sum(0)[:, None], (1, 30)), rtol=1e-4, atol=1e-4)


def nearest_by_hand(x, table):
    return ((x[:, None].astype("float64") - table.astype("float64")) ** 2).sum(-1).argmin(-1)


def test_the_nearest_code_is_that_of_float32(rounding):
    table = vectors(2, 256, 16)
    table += 30.0  # far from the origin differences are small beside products
    x = (vectors(3, 200, 16) + 30.0).astype("float32")
    products_alone = np.asarray(rounding(x, table.T)) - 0.5 * (table**2).sum(1)
    wanted = nearest_by_hand(x, table)
    assert np.mean(products_alone.argmax(1) != wanted) > 0.2  # what the card does
    assert np.mean(np.asarray(nearest_rows(x, table)) != wanted) < 0.02
    layer = VectorQuantizer({"codes": 256}, 16, distance="euclidean")
    layer.codebook.assign(table)
    assert np.mean(np.argmax(layer.similarities(x), axis=1) != wanted) < 0.02


def test_sim_vq_and_fine_codes_too(rounding):
    sim = SimVQ(64, 16)
    wanted = np.asarray(sim.codebook, "float64") @ np.asarray(sim.map, "float64")
    np.testing.assert_allclose(sim.table(), wanted, atol=1e-6)
    np.testing.assert_allclose(sim.codes_to_values(np.arange(64)), wanted, atol=1e-6)
    fine = FineCodes(2, 128, 8)
    fine.tables.assign(tables := (vectors(4, 2, 128, 8) + 20.0).astype("float32"))
    left = (vectors(5, 100, 2, 8) + 20.0).astype("float32")
    found = np.asarray(fine(left))
    for slot in range(2):
        assert np.mean(found[:, slot] != nearest_by_hand(left[:, slot], tables[slot])) < 0.02


def test_without_a_card_the_product_is_the_plain_one():
    a, b = vectors(6, 5, 7), vectors(7, 7, 3)
    np.testing.assert_array_equal(exact_matmul(a, b), keras.ops.matmul(a, b))


def test_jax_is_asked_for_its_highest_precision():
    code = (
        "import jax, numpy as np\n"
        "from vqmm.quantizers import VectorQuantizer\n"
        "layer = VectorQuantizer({'codes': 8}, 4)\n"
        "x = np.ones((5, 4), 'float32')\n"
        "for function in (layer.nearest, layer.similarities):\n"
        "    text = jax.jit(function).lower(x).as_text()\n"
        "    assert 'dot_general' in text and 'precision = [HIGHEST, HIGHEST]' in text, text\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("compiled", [False, True])
def test_compilers_leave_the_split_as_it_is(compiled):
    x = vectors(8, 1000) * np.float32(10.0) ** np.random.default_rng(9).integers(-20, 20, 1000).astype(
        "float32"
    )
    high, rest = tf.function(products._split, jit_compile=compiled)(tf.constant(x))
    np.testing.assert_array_equal(tf32(high), high)
    assert np.any(np.asarray(rest)) and np.abs(rest / x).max() < 2.0**-10
    np.testing.assert_array_equal(np.asarray(high) + np.asarray(rest), x)
