"""The decoder alone: shapes, missing private codes, the bag of the grid layout, and its config."""

import keras
import numpy as np
import pytest

from vqmm.networks import Decoder

GRID, OUT = (5, 3), (19, 12, 1)  # two doublings of the grid overshoot by one row


def decoder(**over):
    return Decoder((8, 4), 6, GRID, OUT, **{"slots": 3, **over})


def values(tokens, seed=0, size=4):
    return np.random.default_rng(seed).normal(size=(size, tokens, 6)).astype("float32")


@pytest.mark.parametrize("bounded", [False, True])
def test_shape_and_range(bounded):
    layer = decoder(bounded=bounded)
    rebuilt = np.asarray(layer.value(layer(values(3), values(15, 1)).parameters))
    assert rebuilt.shape == (4, *OUT)
    assert not bounded or (rebuilt.min() >= 0 and rebuilt.max() <= 1)


def test_private_codes_that_are_not_kept_count_as_missing():
    layer, shared, private = decoder(), values(3), values(15, 1)
    keep = np.array([True, False, True, False])
    some, all_there, none = (
        layer(shared, *rest).parameters for rest in ((private, keep), (private,), (None,))
    )
    np.testing.assert_allclose(some[0], all_there[0], atol=1e-6)
    np.testing.assert_allclose(some[1], none[1], atol=1e-6)
    assert np.abs(np.asarray(all_there - none)).max() > 1e-3


def test_slots_have_places_and_a_bag_has_none():
    shared = values(3)
    turned = shared[:, ::-1]
    in_places, bag = decoder(), decoder(slots=0)
    in_places.places.assign(values(3, 2, 1)[0])
    assert np.abs(np.asarray(in_places(shared).parameters - in_places(turned).parameters)).max() > 1e-4
    np.testing.assert_allclose(bag(shared).parameters, bag(turned).parameters, atol=1e-5)


def test_an_unbounded_output_starts_near_its_offset():
    layer = decoder(offset=-2.5, scale=1.5)
    rebuilt = np.asarray(layer.value(layer(values(3), values(15, 1)).parameters))
    assert abs(rebuilt.mean() + 2.5) < 0.5


def test_config_round_trip_gives_the_same_layer():
    layer = decoder(bounded=True, offset=-1.0)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert twin.get_config() == layer.get_config()
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(values(3)).parameters, layer(values(3)).parameters)


@pytest.mark.parametrize(("output", "each"), [("categorical", 256), ("logistic", 12)])
def test_a_distribution_has_its_parameters_and_its_mean_is_the_value(output, each):
    layer = decoder(output=output)
    parameters = layer(values(3), values(15, 1)).parameters
    rebuilt = np.asarray(layer.value(parameters))
    assert parameters.shape == (4, *OUT[:2], each) and rebuilt.shape == (4, *OUT)
    assert rebuilt.min() >= 0 and rebuilt.max() <= 1
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert twin.output_kind == output
    with pytest.raises(ValueError, match="output='softmax'; legal: value, categorical, logistic"):
        decoder(output="softmax")
