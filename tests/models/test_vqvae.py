"""The joint-codebook VQ-VAE as a Keras model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import check_config
from vqmm.errors import UserError
from vqmm.models import build_model
from vqmm.networks.replica_random import Dropout


def config(**over):
    tree = {
        "data": {
            "audio": {"sample_rate": 2000, "samples": 1024},
            "image": {"height": 16, "width": 16, "channels": 1},
        },
        "model": {
            "slots": 2,
            "filters": [4, 8],
            "log_mel": {"n_fft": 64, "hop_length": 32, "mels": 16},
            "quantizer": {"dim": 8, "shared": 4, "image": 8, "audio": 8},
        },
        "schedule": {"quantize_from": 0},
        **over,
    }
    return check_config(tree)


def batch(size=8, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "audio": tf.constant(rng.normal(scale=0.1, size=(size, 1024)), tf.float32),
        "image": tf.constant(rng.uniform(size=(size, 16, 16, 1)), tf.float32),
        "audio_mask": tf.ones(size, tf.bool),
        "image_mask": tf.ones(size, tf.bool),
    }


ALL = {
    "contrastive": 1,
    "swapped": 1,
    "agreement": 0.5,
    "code_matching": 0.2,
    "cross_commitment": 0.2,
    "paired_ema": 0.5,
}


def averaged(**over):
    """The model section with shared codes that follow averages, as paired EMA wants them."""
    tree = config().model.model_dump()
    return {**tree, "quantizer": {**tree["quantizer"], "shared_update": "ema"}, **over}


def compiled(**over):
    model = build_model(config(**over))
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    return model


def test_codes_lie_in_their_ranges_and_shapes_are_as_said():
    model, items = build_model(config()), batch()
    audio, image = model.encode(audio=items["audio"]), model.encode(image=items["image"])
    assert audio.shared.shape == image.shared.shape == (8, 2)
    assert audio.private.shape == (8, 8 * 4) and image.private.shape == (8, 4 * 4)
    for codes, name in ((audio.shared, "shared"), (image.private, "image"), (audio.private, "audio")):
        start, stop = model.quantizer.ranges[name]
        assert start <= np.min(codes) and np.max(codes) < stop
    embedded = np.array(model.embed(image=items["image"]))
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=-1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(model.quantizer.nearest(embedded, "shared"), image.shared)
    assert model.decode(image, "image").shape == (8, 16, 16, 1)
    assert model.decode(image._replace(private=None), "audio").shape == (8, 32, 16, 1)


def test_saved_and_loaded_in_safe_mode_it_gives_the_same(tmp_path):
    model, items = compiled(), batch()
    model.train_step(items)
    model.save(tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(model.encode(audio=items["audio"]), twin.encode(audio=items["audio"]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(twin.step) == 1
    np.testing.assert_allclose(
        model.decode(model.encode(image=items["image"]), "image"),
        twin.decode(twin.encode(image=items["image"]), "image"),
        atol=1e-6,
    )


@pytest.mark.parametrize("layout", ["slots", "grid"])
def test_it_learns_with_every_alignment_term(layout):
    slots_only = {"swapped": 0, "agreement": 0, "cross_commitment": 0, "paired_ema": 0}
    loss = ALL if layout == "slots" else {**ALL, **slots_only}
    model = compiled(loss=loss, model=averaged(layout=layout))
    steps = [model.train_step(batch()) for _ in range(6)]
    losses = [float(step["loss"]) for step in steps]
    assert np.mean(losses[-2:]) < np.mean(losses[:2])
    for name, weight in loss.items():
        if name != "paired_ema":
            assert (name in steps[0]) == bool(weight)


@pytest.mark.parametrize("name", ["agreement", "cross_commitment", "paired_ema"])
def test_losses_token_by_token_need_as_many_tokens_of_both_sides(name):
    with pytest.raises(UserError, match=rf"loss.{name}=0.5.*\d+ of audio and \d+ of image.*layout=slots"):
        build_model(config(loss={name: 0.5}, model=averaged(layout="grid")))


def test_a_missing_modality_changes_nothing_in_the_loss():
    model, items = build_model(config()), batch()
    items["audio_mask"] = tf.constant([True] * 5 + [False] * 3)
    loud = {**items, "audio": tf.concat([items["audio"][:5], 9.0 * items["audio"][5:]], 0)}
    one, other = (model.test_step(x) for x in (items, loud))
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, err_msg=name)


def test_encoders_of_a_pair_drop_different_units():
    layers = [
        [layer.seed for layer in encoder.shared_head.layers if isinstance(layer, Dropout)]
        for encoder in build_model(config()).encoders.values()
    ]
    assert len(set(layers[0]) | set(layers[1])) == 4


def test_encode_wants_one_item_of_the_right_shape():
    model, items = build_model(config()), batch()
    with pytest.raises(ValueError, match="exactly one"):
        model.encode()
    with pytest.raises(ValueError, match="exactly one"):
        model.encode(audio=items["audio"], image=items["image"])
    with pytest.raises(ValueError, match=r"takes \(batch, \*\(16, 16, 1\)\)"):
        model.encode(image=items["image"][:, :8])


def test_without_private_ranges_it_is_the_plain_joint_codebook():
    quantizer = {"dim": 8, "shared": 4, "image": 0, "audio": 0}
    model = compiled(model={**config().model.model_dump(), "quantizer": quantizer})
    codes = model.encode(image=batch()["image"])
    assert codes.private is None
    assert model.decode(codes, "image").shape == (8, 16, 16, 1)
    assert np.isfinite(model.train_step(batch())["loss"])


def test_two_replicas_take_the_step_of_one(two_replicas):
    over = {
        "loss": ALL,
        "model": averaged(private_drop=0.0, filters=[4]),
    }
    alone = build_model(config(**over))
    alone.compile(optimizer=keras.optimizers.SGD(0.1))
    with two_replicas.scope():
        shared = build_model(config(**over))
        shared.compile(optimizer=keras.optimizers.SGD(0.1))
    double = tf.function(lambda b: two_replicas.run(shared.train_step, args=(b,)), autograph=False)
    for seed in range(2):
        items = batch(8, seed)  # one half lacks more than the other
        items |= {"audio_mask": tf.constant([True] * 5 + [False] * 3)}
        items |= {"image_mask": tf.constant([True, False] + [True] * 4 + [False, True])}
        found = alone.train_step(items)
        halves = two_replicas.experimental_distribute_values_from_function(
            lambda context, items=items: {
                k: v[4 * context.replica_id_in_sync_group :][:4] for k, v in items.items()
            }
        )
        for name, value in double(halves).items():
            shown = two_replicas.reduce("mean", value, axis=None)
            np.testing.assert_allclose(shown, found[name], atol=2e-4, rtol=1e-4, err_msg=name)
    for one, other in zip(alone.variables, shared.variables, strict=True):
        if "seed" not in one.path:
            np.testing.assert_allclose(one, other, atol=1e-4, err_msg=one.path)
