"""Networks that a perceptual distance is measured in."""

import keras
import numpy as np
import pytest

from vqmm.networks import FeatureNet, PretrainedFeatures

PICTURES = np.random.default_rng(0).uniform(size=(2, 8, 8, 1)).astype("float32")


def test_stages_halve_the_grid_and_random_weights_depend_on_the_seed_alone():
    maps = FeatureNet((4, 6), seed=1)(PICTURES)
    assert [x.shape for x in maps] == [(2, 8, 8, 4), (2, 4, 4, 6)]
    keras.utils.set_random_seed(9)
    again, other = FeatureNet((4, 6), seed=1)(PICTURES), FeatureNet((4, 6), seed=2)(PICTURES)
    np.testing.assert_array_equal(maps[1], again[1])
    assert np.abs(np.array(maps[1]) - np.array(other[1])).max() > 1e-3


def test_a_foreign_model_gets_its_pictures_as_it_wants_them():
    item = keras.Input((8, 8, 3))
    layer = PretrainedFeatures(keras.Model(item, [item, keras.layers.AveragePooling2D(8)(item)]), "caffe")
    whole, pooled = layer(PICTURES)
    wanted = keras.applications.vgg16.preprocess_input(255.0 * np.repeat(PICTURES, 3, axis=-1))
    np.testing.assert_allclose(whole, wanted, atol=1e-3)
    assert pooled.shape == (2, 1, 1, 3)
    layer.mode = "tf"
    np.testing.assert_allclose(layer(PICTURES)[0][..., :1], 2 * PICTURES - 1, atol=1e-6)
    twin = PretrainedFeatures.from_config(layer.get_config())
    np.testing.assert_array_equal(twin(PICTURES)[1], layer(PICTURES)[1])
    with pytest.raises(ValueError, match="legal: caffe, tf, unit"):
        PretrainedFeatures(None, "torch")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_foreign_model_runs_in_whole_precision_whatever_the_policy(policy):
    """Activations of VGG run over in half precision; so would those of this model."""

    def made():
        keras.utils.set_random_seed(0)
        item = keras.Input((8, 8, 3))
        large = keras.layers.Conv2D(4, 3, kernel_initializer=keras.initializers.RandomUniform(0, 1e3))(item)
        small = keras.layers.Rescaling(1e-6)(large)
        return PretrainedFeatures(keras.Model(item, [large, keras.layers.Conv2D(2, 3)(small)]))

    wanted, before = made()(PICTURES), keras.config.dtype_policy()
    assert np.abs(wanted[0]).max() > np.finfo("float16").max
    keras.config.set_dtype_policy(policy)
    try:
        layer = made()
        twin = keras.layers.deserialize(keras.layers.serialize(layer))
        twin.model.set_weights(layer.model.get_weights())
        for one in (layer, twin):
            for ours, theirs in zip(one(PICTURES), wanted, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    finally:
        keras.config.set_dtype_policy(before)
