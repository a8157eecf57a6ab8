"""Feature maps in which a perceptual distance is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("vqmm")
class FeatureNet(keras.layers.Layer):
    """A small convolution network whose every stage is a feature map.

    With its initial, orthogonal weights it compares patches at several sizes, as random
    features do; taught on the data at hand (`vqmm.training.teaching`) it knows what
    is common there. It is never trained by the model that it judges.

    Args:
        filters: channels of each stage; the grid is halved between stages.
        seed: of the initial weights.

    Input: f32[B, H, W, C]. Output: a list of f32[B, H / 2^i, W / 2^i, filters[i]].
    """

    def __init__(self, filters: Sequence[int] = (16, 32, 64), seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.seed = seed

    def build(self, input_shape: Sequence[Any]) -> None:
        item = keras.Input((None, None, input_shape[-1]))
        x, found = item, []
        for place, count in enumerate(self.filters):
            start = keras.initializers.Orthogonal(gain=2.0**0.5, seed=31 * self.seed + place)
            x = keras.layers.Conv2D(count, 3, padding="same", kernel_initializer=start)(x)
            x = keras.layers.Activation("relu")(x)
            found.append(x)
            x = keras.layers.AveragePooling2D(2, padding="same")(x)
        self.trunk = keras.Model(item, found, name="trunk")
        self.built = True

    def call(self, items: Any) -> list[Any]:
        return list(self.trunk(2.0 * items - 1.0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "seed": self.seed}


@keras.saving.register_keras_serializable("vqmm")
class PretrainedFeatures(keras.layers.Layer):
    """Feature maps of a Keras model that the user gives, as VGG16 of `keras.applications`.

    It works in the precision of the model's weights, whatever the dtype policy: activations of such
    a network may be beyond what half precision can hold.

    Args:
        model: from pictures f32[B, H, W, C] to a list of feature maps; policies of its layers are changed.
        mode: how it wants its pictures: `"caffe"` (0..255 BGR without the ImageNet mean, as
            VGG16), `"tf"` (-1..1) or `"unit"` (0..1).

    Input: f32[B, H, W, C] in 0..1; grey ones are repeated for a model of colours. Output: a
    list of f32[B, h, w, c].
    """

    MODES = ("caffe", "tf", "unit")

    def __init__(self, model: Any, mode: str = "caffe", **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if mode not in self.MODES:
            raise ValueError(f"mode={mode!r}; legal: {', '.join(self.MODES)}")
        for layer in model._flatten_layers():
            layer.dtype_policy = layer.variable_dtype
        self.model = model
        self.mode = mode
        self.built = True

    def call(self, items: Any) -> list[Any]:
        if items.shape[-1] == 1 and self.model.inputs[0].shape[-1] == 3:
            items = ops.repeat(items, 3, axis=-1)
        if self.mode == "caffe":
            items = 255.0 * items[..., ::-1] - ops.convert_to_tensor([103.939, 116.779, 123.68])
        elif self.mode == "tf":
            items = 2.0 * items - 1.0
        found = self.model(items, training=False)
        return list(found) if isinstance(found, list | tuple) else [found]

    def get_config(self) -> dict[str, Any]:
        model = keras.saving.serialize_keras_object(self.model)
        return {**super().get_config(), "model": model, "mode": self.mode}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PretrainedFeatures:
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})
