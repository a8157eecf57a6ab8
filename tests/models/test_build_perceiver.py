"""The network that `loss.features` names."""

import keras
import numpy as np
import pytest
from test_vqgan import config

from vqmm.errors import UserError
from vqmm.models import build_model
from vqmm.models.build_perceiver import VGG_LAYERS, build_perceiver

PICTURES = np.random.default_rng(0).uniform(size=(2, 16, 16, 1)).astype("float32")


def test_vgg16_takes_its_weights_from_a_file(tmp_path):
    """As LPIPS has it: the last activation of each block, of pictures as VGG16 was trained on."""
    keras.utils.set_random_seed(0)
    whole = keras.applications.VGG16(include_top=False, weights=None)
    whole.save_weights(tmp_path / "vgg16.weights.h5")
    wanted = keras.Model(whole.input, [whole.get_layer(name).output for name in VGG_LAYERS])
    keras.utils.set_random_seed(1)
    found = build_perceiver(config(features=str(tmp_path / "vgg16.weights.h5")))(PICTURES)
    colours = keras.applications.vgg16.preprocess_input(255.0 * np.repeat(PICTURES, 3, axis=-1))
    for ours, theirs in zip(found, wanted(colours), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert found[-1].shape == (2, 1, 1, 512)


def test_a_file_that_holds_no_weights_of_vgg16_is_told(tmp_path):
    path = tmp_path / "other.weights.h5"
    item = keras.Input((9, 9, 3))
    keras.Model(item, keras.layers.Conv2D(2, 3)(item)).save_weights(path)
    for name in (path, tmp_path / "absent.h5"):
        with pytest.raises(UserError, match=f"{name.name}' cannot be read as VGG16's.*legal: vgg16_w"):
            build_perceiver(config(features=str(name)))


def test_names_that_are_none_are_refused():
    with pytest.raises(UserError, match="loss.features='vgg19'.*did you mean 'vgg16'"):
        build_model(config(features="vgg19"))
    with pytest.raises(UserError, match="nowhere.keras' cannot be read"):
        build_model(config(features="nowhere.keras"))


def test_a_model_of_ones_own_can_be_the_perceiver(tmp_path):
    item = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(3, 3, activation="relu")(item)
    keras.Model(item, keras.layers.GlobalAveragePooling2D()(x)).save(tmp_path / "net.keras")
    model = build_model(config(features=str(tmp_path / "net.keras")))
    assert [x.shape for x in model.perceiver(np.zeros((2, 16, 16, 1)))] == [(2, 14, 14, 3)]
    colour = tmp_path / "colour.keras"
    item = keras.Input((9, 9, 3))
    keras.Model(item, keras.layers.Conv2D(2, 3)(item)).save(colour)
    with pytest.raises(UserError, match="does not take pictures of 16 x 16 x 1"):
        build_model(config(features=str(colour)))
