"""A ConvNeXt block over time."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("vqmm")
class ConvNeXtBlock(keras.layers.Layer):
    """Depthwise convolution over time, normalisation, two dense layers; scaled and added to the input.

    Liu et al. 2022, in one dimension as in Vocos (Siuzdak 2023).

    Args:
        widening: of the hidden dense layer.
        kernel: frames that the convolution sees.
        scale: initial factor of what is added.
        seed: of the weights.

    Input and output: f32[B, T, dim].
    """

    def __init__(self, widening: int = 3, kernel: int = 7, scale: float = 0.2, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.widening = widening
        self.kernel = kernel
        self.scale = scale
        self.seed = seed

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]

        def normal(place: int) -> keras.initializers.Initializer:
            return keras.initializers.TruncatedNormal(stddev=0.02, seed=self.seed + place)

        self.mix = keras.layers.DepthwiseConv1D(
            self.kernel, padding="same", depthwise_initializer=keras.initializers.GlorotUniform(self.seed)
        )
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6)
        self.widen = keras.layers.Dense(self.widening * dim, activation="gelu", kernel_initializer=normal(1))
        self.narrow = keras.layers.Dense(dim, kernel_initializer=normal(2))
        self.mix.build(input_shape)
        self.norm.build(input_shape)
        self.widen.build(input_shape)
        self.narrow.build((*input_shape[:-1], self.widening * dim))
        self.gamma = self.add_weight(
            name="gamma", shape=(dim,), initializer=keras.initializers.Constant(self.scale)
        )
        self.built = True

    def call(self, x: Any) -> Any:
        return x + self.gamma * self.narrow(self.widen(self.norm(self.mix(x))))

    def get_config(self) -> dict[str, Any]:
        own = {"widening": self.widening, "kernel": self.kernel, "scale": self.scale, "seed": self.seed}
        return {**super().get_config(), **own}
