"""The networks are written in keras.ops: another backend trains them as well."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from vqmm.networks import Decoder, Discriminator, Encoder

pytest.importorskip("jax")

SCRIPT = """
import sys
from pathlib import Path
import jax
import numpy as np
from vqmm.networks import Decoder, Discriminator, Encoder

for path in Path(sys.argv[1]).glob("*.npz"):
    given = np.load(path)
    x = given["x"]
    encoder = Encoder((4, 8), 6, slots=3, pool=(2, 2), eight_bits=path.stem == "True")
    encoder.build(x.shape)
    decoder = Decoder((8, 4), 6, encoder.grid_shape, x.shape[1:], slots=3)
    judge = Discriminator((8, 16), norm="batch")
    judge.build(x.shape)
    layers = (encoder, decoder, judge)
    places = iter(range(len(given.files) - 1))
    for layer in layers:
        layer.set_weights([given[str(next(places))] for _ in layer.weights])

    def loss(trained, fixed):
        parts = iter(zip(trained, fixed))
        latents, _ = encoder.stateless_call(*next(parts), x, training=True)
        made, _ = decoder.stateless_call(*next(parts), latents.shared, latents.private, training=True)
        said, _ = judge.stateless_call(*next(parts), made.parameters, training=True)
        return (made.parameters**2).mean() + (said.logits[0] ** 2).mean()

    trained = [[v.value for v in layer.trainable_variables] for layer in layers]
    fixed = [[v.value for v in layer.non_trainable_variables] for layer in layers]
    value, slopes = jax.jit(jax.value_and_grad(loss))(trained, fixed)
    found = [np.asarray(slope) for part in slopes for slope in part]
    np.savez(Path(sys.argv[2]) / path.name, value, *found)
"""


class OnJax(NamedTuple):
    """Layers on TensorFlow, and what JAX computed from the same weights: the loss, then gradients."""

    x: np.ndarray
    layers: tuple[Encoder, Decoder, Discriminator]
    found: list[np.ndarray]


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory):
    """With and without rounding to 8 bits, from one process: it takes seconds to begin."""
    folder, out = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("found")
    x = np.random.default_rng(0).normal(size=(4, 20, 12, 1)).astype("float32")
    made = {}
    for eight_bits in (False, True):
        encoder = Encoder((4, 8), 6, slots=3, pool=(2, 2), eight_bits=eight_bits)
        encoder.build(x.shape)
        decoder = Decoder((8, 4), 6, encoder.grid_shape, x.shape[1:], slots=3)
        judge = Discriminator((8, 16), norm="batch")
        judge.build(x.shape)
        made[eight_bits] = layers = (encoder, decoder, judge)
        weights = [w for layer in layers for w in layer.get_weights()]
        np.savez(folder / f"{eight_bits}.npz", x=x, **{str(place): w for place, w in enumerate(weights)})
    subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, out],
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    return {key: OnJax(x, made[key], list(np.load(out / f"{key}.npz").values())) for key in made}


@pytest.mark.parametrize("eight_bits", [False, True])
def test_the_same_loss_and_gradients_on_jax(eight_bits, on_jax):
    import tensorflow as tf

    x, layers, found = on_jax[eight_bits]
    encoder, decoder, judge = layers
    with tf.GradientTape() as tape:
        latents = encoder(x, training=True)
        made = decoder(latents.shared, latents.private, training=True)
        said = judge(made.parameters, training=True)
        loss = tf.reduce_mean(made.parameters**2) + tf.reduce_mean(said.logits[0] ** 2)
    trained = [v.value for layer in layers for v in layer.trainable_variables]
    slopes = tape.gradient(loss, trained, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    assert len(found) == 1 + len(slopes)
    np.testing.assert_allclose(found[0], loss, rtol=1e-4)
    assert sum(np.abs(slope).max() > 1e-6 for slope in slopes) > 0.9 * len(slopes)
    for theirs, ours in zip(found[1:], slopes, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-2, atol=1e-4)
