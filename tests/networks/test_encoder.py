"""The encoder alone: shapes, what it does not hear, and its config."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.networks import Encoder
from vqmm.networks.blocks import pool_to

SHAPE = (20, 12, 1)  # frames, bands


def built(**over):
    encoder = Encoder((4, 8), 6, **{"slots": 3, "pool": (2, 2), **over})
    encoder.build((None, *SHAPE))
    return encoder


def features(seed=0, size=5):
    return np.random.default_rng(seed).normal(size=(size, *SHAPE)).astype("float32")


@pytest.mark.parametrize("layout, tokens", [("slots", 3), ("grid", 5 * 3)])
def test_shapes(layout, tokens):
    latents = built(layout=layout)(features())
    assert latents.shared.shape == (5, tokens, 6)
    assert latents.private.shape == (5, 5 * 3, 6)  # two halvings of 20 x 12
    assert built(layout=layout, private=False)(features()).private is None


@pytest.mark.parametrize("shape", [(7, 1), (1, 7), (7, 3), (1, 1), (4, 2), (9, 8), (2, 1)])
def test_a_grid_is_averaged_over_its_parts_in_a_graph(shape):
    item = keras.Input((*shape, 3))
    made = tf.function(keras.Model(item, pool_to(item, (4, 2))), autograph=False)
    grid = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype("float32")
    found = made(grid)
    cells = min(shape[0], 4), min(shape[1], 2)
    assert found.shape == (2, *cells, 3)
    for cell in np.ndindex(cells):
        parts = [
            slice(place * there // kept, -(-(place + 1) * there // kept))
            for place, there, kept in zip(cell, shape, cells, strict=True)
        ]
        wanted = grid[:, parts[0], parts[1]].mean(axis=(1, 2))
        np.testing.assert_allclose(found[:, cell[0], cell[1]], wanted, atol=1e-6, err_msg=str(cell))


def test_a_grid_may_be_smaller_than_what_is_kept_of_it():
    """Of 20 x 12, halved twice and once more in the head, 3 x 2 cells are left; in a graph, as in a step."""
    small, wide = (built(pool=pool) for pool in ((3, 2), (4, 9)))
    wide.set_weights(small.get_weights())
    found = tf.function(wide, autograph=False)(features())
    np.testing.assert_allclose(found.shared, small(features()).shared, atol=1e-5)


def test_loudness_and_level_do_not_reach_the_shared_latents():
    encoder, x = built(), features()
    plain, louder = encoder(x), encoder(3.0 * x + 7.0)
    np.testing.assert_allclose(louder.shared, plain.shared, atol=1e-3)
    assert np.abs(np.asarray(louder.private) - plain.private).max() > 0.1


def test_the_mean_normalised_half_does_not_hear_the_colour_of_a_line():
    encoder, x = built(mean_normalised=True), features()
    first = next(w for w in encoder.trunk.weights if w.shape[:3] == (3, 3, 2))
    kernel = first.numpy()
    kernel[:, :, 0] = 0.0  # deaf to the half that is not normalised
    first.assign(kernel)
    colour = np.random.default_rng(1).normal(size=(1, 1, SHAPE[1], 1)).astype("float32")

    def heard(values):
        # Of one spread, since the whole item is scaled first.
        centred = values - values.mean(axis=1, keepdims=True)
        spread = np.sqrt(values.var(axis=(1, 2, 3), keepdims=True) + 1e-4)
        return np.asarray(
            encoder.shared_head(encoder.trunk(np.concatenate([0 * values, centred / spread], -1)))
        )

    np.testing.assert_allclose(encoder(x).shared, heard(x), atol=1e-4)
    tilted = x + colour
    np.testing.assert_allclose(encoder(tilted).shared, heard(tilted), atol=1e-4)
    assert built().trunk.input_shape[-1] == 1


def test_a_layout_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"layout='bag'; legal: slots, grid"):
        Encoder((4,), 6, layout="bag")


def test_config_round_trip_gives_the_same_layer():
    encoder = built(mean_normalised=True, dropout=0.1, seed=3)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    assert twin.get_config() == encoder.get_config()
    twin.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(twin(features()).shared, encoder(features()).shared)
