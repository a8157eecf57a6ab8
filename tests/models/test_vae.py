"""The variational autoencoder."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_vqvae import batch
from test_vqvae import config as plain

from vqmm.config import Config
from vqmm.metrics import active_units
from vqmm.models import VAE, build_model


def config(**loss):
    tree = plain().model_dump()
    tree["model"]["kind"] = "vae"
    tree["loss"] |= loss
    tree["schedule"]["kl_ramp"] = 0
    return Config.model_validate(tree)


def test_latents_have_the_shapes_of_the_codes_and_decode():
    model = build_model(config())
    found = model.encode(audio=batch()["audio"])
    assert found.shared.mean.shape == (8, 2, 8) and found.private.log_variance.shape == (8, 32, 8)
    np.testing.assert_allclose(np.linalg.norm(model.embed(image=batch()["image"]), axis=-1), 1.0, atol=1e-5)
    assert model.decode(found.shared.mean, None, "image").shape == (8, 16, 16, 1)
    assert model.sample(3, "audio", seed=1).shape == (3, 32, 16, 1)
    np.testing.assert_array_equal(model.sample(3, "image", seed=1), model.sample(3, "image", seed=1))


def test_the_loss_is_the_bound_of_its_documentation():
    """-loss / kl is the expected log-likelihood under errors of that scale, less the divergence."""
    model, items = build_model(config(kl=0.1, contrastive=0)), batch()
    outputs = model(items, training=False)
    terms = model.compute_losses(items, outputs)
    for name, out in outputs.items():
        error = np.array(out.features) - np.array(out.rebuilt)
        nats = sum(
            (0.5 * (np.array(m) ** 2 + np.exp(v) - 1 - np.array(v))).sum((1, 2)).mean()
            for m, v in out.posterior
        )
        elements = error[0].size
        bound = -(np.abs(error) + error**2).sum((1, 2, 3)).mean() / 0.1 - nats
        found = -(float(terms[f"reconstruction_{name}"]) + float(terms[f"kl_{name}"])) / 0.1 * elements
        assert found == pytest.approx(bound, rel=1e-4)
        assert float(model.figures(items, outputs)[f"kl_nats_{name}"]) == pytest.approx(nats, rel=1e-4)


def test_draws_have_the_posteriors_mean_and_variance():
    model = build_model(config())
    part = model.encode(image=batch(1)["image"]).shared
    wide = part._replace(
        mean=tf.repeat(part.mean, 4000, 0), log_variance=tf.repeat(part.log_variance, 4000, 0)
    )
    drawn = np.array(model._draw(wide))
    np.testing.assert_allclose(drawn.mean(0), part.mean[0], atol=0.1)
    np.testing.assert_allclose(drawn.var(0), np.exp(part.log_variance[0]), rtol=0.15)


def test_the_divergence_grows_from_the_first_step():
    tree = config(kl=1.0).model_dump()
    tree["schedule"]["kl_ramp"] = 4
    model, items = build_model(Config.model_validate(tree)), batch()
    outputs = model(items, training=False)
    shares = []
    for step in (0, 1, 9):
        model.step.assign(step)
        shares.append(float(model.compute_losses(items, outputs)["kl_image"]))
    np.testing.assert_allclose(np.array(shares) / shares[-1], [0.25, 0.5, 1.0], rtol=1e-5)


def test_it_learns_and_loads_in_safe_mode(tmp_path):
    model = build_model(config())
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    losses = [float(model.train_step(batch())["loss"]) for _ in range(8)]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "m.keras")
    twin = keras.models.load_model(tmp_path / "m.keras")
    assert isinstance(twin, VAE)
    items = batch(seed=1)
    np.testing.assert_array_equal(
        model.reconstruct(items["image"], "image"), twin.reconstruct(items["image"], "image")
    )


def of_pictures_alone(settings):
    """One modality is a model too."""
    parts = build_model(settings).get_config()
    for part in ("features", "encoders", "decoders", "input_shapes"):
        parts[part] = {"image": parts[part]["image"]}
    return VAE.from_config(parts)


def test_posteriors_collapse_under_a_heavy_divergence_and_not_under_the_default():
    rng = np.random.default_rng(1)
    blocks = np.kron(rng.uniform(size=(32, 2, 2, 1)), np.ones((1, 8, 8, 1)))
    items = {"image": tf.constant(blocks, tf.float32), "image_mask": tf.ones(32, tf.bool)}
    shares = []
    for weight in (0.05, 1000.0):
        model = of_pictures_alone(config(kl=weight))
        model.compile(optimizer=keras.optimizers.Adam(1e-2))
        step = tf.function(model.train_step, autograph=False)
        for _ in range(80):
            step(items)
        found = model.encode(image=items["image"])
        means = np.concatenate([np.array(part.mean).reshape(32, -1) for part in found], axis=1)
        shares.append(active_units(means).value)
    assert shares[1] == 0.0 and shares[0] > 0.5


def test_an_encoder_of_another_width_is_refused():
    parts = build_model(config()).get_config()
    parts["encoders"] = build_model(plain()).get_config()["encoders"]
    with pytest.raises(ValueError, match="encoder has dim=8 and its decoder dim=8.*twice"):
        VAE.from_config(parts)
