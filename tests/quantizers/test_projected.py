"""Projections around a quantizer are trained at every step, before its codes start and after."""

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import load_config
from vqmm.models import build_model
from vqmm.quantizers import FSQ, GroupedQuantizer, ProjectedQuantizer, VectorQuantizer


def latents(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def weights(quantizer):
    return [np.asarray(w, "float64") for w in (*quantizer.project_in.weights, *quantizer.project_out.weights)]


@pytest.mark.parametrize("started", [False, True], ids=["warm-up", "started"])
def test_codebook_loss_and_its_gradients_are_those_of_a_linear_autoencoder(started):
    codebook = VectorQuantizer({"codes": 8}, 2, distance="euclidean")
    quantizer = ProjectedQuantizer(codebook, 5)
    quantizer.start(started)
    x = latents(0, 6, 3, 5) * np.linspace(0.1, 3.0, 6, dtype="float32")[:, None, None]
    with tf.GradientTape() as tape:
        tape.watch(tensor := tf.constant(x))
        out = quantizer(tensor)
    gradients = tape.gradient(out.codebook_loss, [tensor, *quantizer.trainable_variables])
    assert gradients[0] is None or not np.any(gradients[0])  # latents are not moved by it

    kernel_in, bias_in, kernel_out, bias_out = weights(quantizer)
    flat = x.reshape(-1, 5).astype("float64")
    projected = flat @ kernel_in + bias_in
    table = np.asarray(codebook.codebook, "float64")
    nearest = np.argmin(((projected[:, None] - table) ** 2).sum(-1), axis=1)
    middle = table[nearest] if started else projected
    values = middle @ kernel_out + bias_out
    np.testing.assert_allclose(np.reshape(out.values, (-1, 5)), values, atol=1e-5)
    length = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)
    assert length.max() > 1.0 == length.min()  # both kinds of latents are among them
    assert float(out.codebook_loss) == pytest.approx(np.mean(((values - flat) / length) ** 2), rel=1e-5)
    error = 2.0 * (values - flat) / length**2 / flat.size
    back = error @ kernel_out.T
    by_hand = [flat.T @ back, back.sum(0), middle.T @ error, error.sum(0)]
    found = dict(zip([v.path for v in quantizer.trainable_variables], gradients[1:], strict=True))
    own = [*quantizer.project_in.weights, *quantizer.project_out.weights]
    for weight, expected in zip(own, by_hand, strict=True):
        assert np.any(expected)
        np.testing.assert_allclose(found[weight.path], expected, atol=1e-6, err_msg=weight.path)


def test_projections_around_each_head_have_a_codebook_loss_in_the_warm_up():
    heads = GroupedQuantizer([ProjectedQuantizer(FSQ((4, 2)), 4, seed) for seed in (0, 1)])
    heads.start(False)
    x = latents(1, 7, 8)
    expected = np.mean(
        [float(part(half).codebook_loss) for part, half in zip(heads.parts, np.split(x, 2, -1), strict=True)]
    )
    assert float(heads(x).codebook_loss) == pytest.approx(expected, rel=1e-6) and expected > 0


@pytest.mark.parametrize("kind", ["fsq", "bsq"])
@pytest.mark.parametrize("started", [False, True], ids=["warm-up", "started"])
def test_every_projection_gets_a_gradient_by_the_settings_of_the_digits(kind, started):
    config = load_config(
        f"configs/ablations/{kind}.yaml",
        [
            "data.audio.samples=2048",
            "data.image.height=16",
            "data.image.width=16",
            "model.filters=[4]",
            "model.quantizer.lookup_dim=8",
        ],
    )
    model = build_model(config)
    model.quantizer.start(started)
    rng = np.random.default_rng(0)
    items = {
        "audio": tf.constant(rng.normal(scale=0.1, size=(4, 2048)), tf.float32),
        "image": tf.constant(rng.uniform(size=(4, 16, 16, 1)), tf.float32),
        "audio_mask": tf.ones(4, tf.bool),
        "image_mask": tf.ones(4, tf.bool),
    }
    with tf.GradientTape() as tape:
        loss = sum(model.compute_losses(items, model(items, training=True)).values())
    parts = {name: model.quantizer.part(name) for name in ("shared", "image", "audio")}
    assert all(isinstance(part, ProjectedQuantizer) for part in parts.values())
    kernels = {
        f"{name}/{layer.name}": layer.kernel
        for name, part in parts.items()
        for layer in (part.project_in, part.project_out)
    }
    gradients = tape.gradient(loss, [kernel.value for kernel in kernels.values()])
    for name, gradient in zip(kernels, gradients, strict=True):
        assert gradient is not None and np.linalg.norm(gradient) > 1e-6, name
