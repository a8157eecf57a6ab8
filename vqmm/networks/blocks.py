"""The two convolution blocks that encoders and decoders are made of."""

from __future__ import annotations

from typing import Any

import keras


def conv_norm(x: Any, filters: int, stride: int = 1) -> Any:
    """3x3 convolution, batch normalisation, SiLU: [B, H, W, C] to [B, H/stride, W/stride, filters]."""
    x = keras.layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization(synchronized=True)(x)
    return keras.layers.Activation("silu")(x)


def residual_block(x: Any, filters: int) -> Any:
    """Adds a 3x3 convolution of itself to x [B, H, W, filters] (He et al. 2016)."""
    y = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    y = keras.layers.BatchNormalization(synchronized=True)(y)
    return keras.layers.Activation("silu")(keras.layers.Add()([x, y]))
