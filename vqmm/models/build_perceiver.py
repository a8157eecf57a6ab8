"""From a config to the network that a perceptual loss is measured in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from vqmm.config import Config
from vqmm.errors import UserError, nearest
from vqmm.networks import FeatureNet, PretrainedFeatures

OURS = ("random", "taught")
VGG_LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")  # as LPIPS
VGG_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


def build_perceiver(config: Config) -> Any:
    """The layer that `loss.features` names; None where `loss.perceptual` is 0.

    `random` and `taught` are a small network of our own (the training loop teaches the
    latter on the data); `vgg16` fetches the weights of `keras.applications` once, and a path that
    ends in `.h5` is such a file of weights; else it is the path of a `.keras` file, which gets
    pictures in 0..1: a model of several outputs as it is, of another the output of every
    convolution.

    Raises:
        UserError: the file or the weights cannot be had, or the model does not take pictures
            of this size.
    """
    if not config.loss.perceptual:
        return None
    image = config.data.image
    name = config.loss.features
    if name in OURS:
        return FeatureNet(seed=config.seed + 1, name="perceiver")
    layer = _vgg16(name) if name == "vgg16" or Path(name).suffix == ".h5" else _from_file(name)
    try:
        layer(keras.ops.zeros((1, image.height, image.width, image.channels)))
    except Exception as error:  # whatever a foreign model raises
        raise UserError(
            f"loss.features={name!r} does not take pictures of {image.height} x {image.width} x "
            f"{image.channels}: {' '.join(str(error).split())[:200]}"
        ) from None
    return layer


def _vgg16(name: str) -> PretrainedFeatures:
    """VGG16 with the weights that Keras fetches, or with those of the file `name`."""
    try:
        whole = keras.applications.VGG16(include_top=False, weights="imagenet" if name == "vgg16" else name)
    except Exception as error:  # Keras raises bare exceptions for what the network does
        said = " ".join(str(error).split())[:160]
        raise UserError(
            f"loss.features='vgg16': its weights could not be fetched ({said}). Give the path of "
            f"{VGG_FILE} in their place, or of a .keras file, or take loss.features=taught, which needs "
            "no network"
            if name == "vgg16"
            else f"loss.features={name!r} cannot be read as VGG16's weights ({said}); legal: "
            f"{VGG_FILE}, as keras.applications.VGG16(include_top=False) fetches it or saves its weights"
        ) from None
    outputs = [whole.get_layer(layer).output for layer in VGG_LAYERS]
    return PretrainedFeatures(keras.Model(whole.input, outputs), "caffe", name="perceiver")


def _from_file(name: str) -> PretrainedFeatures:
    path = Path(name)
    if path.suffix != ".keras":
        raise UserError(
            f"loss.features={name!r}{nearest(name, (*OURS, 'vgg16'))}; legal: random, taught, vgg16, the "
            f"path of {VGG_FILE}, or that of a .keras file"
        )
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"loss.features={name!r} cannot be read: {' '.join(str(error).split())[:200]}"
        ) from None
    if len(model.outputs) == 1:
        found = [layer.output for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        if not found:
            raise UserError(f"loss.features={name!r} has one output and no convolution to take features from")
        model = keras.Model(model.inputs, found)
    return PretrainedFeatures(model, "unit", name="perceiver")
