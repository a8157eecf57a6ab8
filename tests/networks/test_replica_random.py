"""Every replica has random numbers of its own; a single device has those of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import Config
from vqmm.models import build_model, build_vocoder
from vqmm.networks.replica_random import Dropout, ReplicaSeedGenerator
from vqmm.networks.transformer import TransformerBlock
from vqmm.quantizers import ResidualQuantizer, VectorQuantizer


@pytest.fixture(autouse=True)
def _without_graphs():
    """To trace a model takes seconds in each test, to run it on a few items none."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def on_replicas(strategy, call):
    """Returns what each replica gives for the same input."""
    return [np.asarray(x) for x in strategy.experimental_local_results(strategy.run(call))]


def items():
    rng = np.random.default_rng(1)
    return {
        "audio": rng.uniform(-0.5, 0.5, (8, 1024)).astype("float32"),
        "image": rng.uniform(0, 1, (8, 16, 16, 1)).astype("float32"),
        "audio_mask": np.ones(8, bool),
        "image_mask": np.ones(8, bool),
    }


def test_one_device_draws_what_keras_draws():
    plain, ours = keras.random.SeedGenerator(5), ReplicaSeedGenerator(5)
    for _ in range(3):
        draws = [keras.random.normal((4,), seed=seed) for seed in (plain, ours)]
        np.testing.assert_array_equal(*draws)
    x = np.ones((4, 50), "float32")
    layers = keras.layers.Dropout(0.5, seed=3), Dropout(0.5, seed=3)
    for _ in range(2):
        np.testing.assert_array_equal(*(layer(x, training=True) for layer in layers))
    np.testing.assert_array_equal(layers[1](x), x)


def test_replicas_draw_apart_and_the_first_as_a_single_device(two_replicas):
    alone = ReplicaSeedGenerator(5)
    with two_replicas.scope():
        shared = ReplicaSeedGenerator(5)
    before = None
    for _ in range(3):
        one, other = on_replicas(two_replicas, lambda: keras.random.uniform((100,), seed=shared))
        np.testing.assert_array_equal(one, keras.random.uniform((100,), seed=alone))
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.4 and (one != other).all()
        assert before is None or (one != before).all()
        before = other
    states = two_replicas.experimental_local_results(shared.state.value)
    np.testing.assert_array_equal(states[0], states[1])


def test_a_checkpoint_brings_the_streams_of_all_replicas_back(two_replicas, tmp_path):
    with two_replicas.scope():
        first, again = ReplicaSeedGenerator(5), ReplicaSeedGenerator(5)

    def draw(seed):
        return on_replicas(two_replicas, lambda: keras.random.uniform((9,), seed=seed))

    draw(first)
    path = tf.train.Checkpoint(state=first.state.value).save(tmp_path / "x")
    tf.train.Checkpoint(state=again.state.value).restore(path).assert_consumed()
    np.testing.assert_array_equal(draw(first), draw(again))


def test_dropout_leaves_out_other_units_on_every_replica(two_replicas, tiny_config):
    x = np.ones((4, 50), "float32")
    with two_replicas.scope():
        layer, block = Dropout(0.5, seed=3), TransformerBlock(2, dropout=0.5)
        block.build((None, 6, 8))
        encoder = build_model(tiny_config).encoders["image"]
    one, other = on_replicas(two_replicas, lambda: layer(x, training=True))
    assert 0.2 < (one != other).mean() < 0.8
    tokens = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    calls = (
        lambda: block(tokens, training=True),
        lambda: encoder(items()["image"], training=True).shared,
    )
    for call in calls:
        one, other = on_replicas(two_replicas, call)
        assert np.abs(one - other).max() > 1e-3


def test_private_drop_and_noise_differ_between_replicas(two_replicas, tiny_config):
    tree = tiny_config.model_dump()
    tree["model"] |= {"dropout": 0.0, "private_drop": 0.5}
    for kind in ("vqvae", "vae"):
        tree["model"]["kind"] = kind
        with two_replicas.scope():
            model = build_model(Config.model_validate(tree))
        one, other = on_replicas(two_replicas, lambda m=model: m(items(), training=True)["image"].rebuilt)
        assert np.abs(one - other).max() > 1e-3, kind
        one, other = on_replicas(two_replicas, lambda m=model: m(items(), training=False)["image"].rebuilt)
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_is_drawn_for_the_whole_batch_is_the_same_on_all_replicas(two_replicas, tiny_config):
    """Places of revived codes, levels of a residual, and the stretch that a vocoder is trained on."""
    tree = tiny_config.model_dump() | {"vocoder": {"dim": 8, "depth": 1, "fine_depth": 1, "segment": 4}}
    tree["vocoder"] |= {"n_fft": 64, "fine_dim": 8, "windows": [64], "judged": []}
    with two_replicas.scope():
        codes = VectorQuantizer({"x": 8}, 2)
        levels = ResidualQuantizer([VectorQuantizer({"x": 4}, 2, "euclidean") for _ in range(4)], dropout=1.0)
        vocoder = build_vocoder(Config.model_validate(tree))
    x = np.random.default_rng(0).normal(size=(3, 2)).astype("float32")
    for _ in range(4):
        calls = (
            lambda: keras.random.uniform((3,), seed=codes.random),
            lambda: levels(x, training=True).codes,
            lambda: vocoder._cut(items())[1],
        )
        for call in calls:
            np.testing.assert_array_equal(*on_replicas(two_replicas, call))
