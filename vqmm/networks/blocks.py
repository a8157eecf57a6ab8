"""The blocks that networks are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from vqmm.networks.eight_bits import EightBitConv2D, EightBits


def batch_norm(**settings: Any) -> keras.layers.BatchNormalization:
    """Batch normalisation over the whole batch, on however many replicas it is.

    Args:
        settings: of the layer.
    """
    # Other backends refuse the option: there a batch is one array, whichever devices hold it.
    return keras.layers.BatchNormalization(synchronized=keras.backend.backend() == "tensorflow", **settings)


def conv_norm(x: Any, filters: int, stride: int = 1, eight_bits: bool = False) -> Any:
    """3x3 convolution, batch normalisation, SiLU: [B, H, W, C] to [B, H/stride, W/stride, filters].

    With `eight_bits`, kernel, input and output of the convolution are rounded in training.
    """
    return keras.layers.Activation("silu")(_conv(x, filters, stride, eight_bits))


def residual_block(x: Any, filters: int, eight_bits: bool = False) -> Any:
    """Adds a 3x3 convolution of itself to x [B, H, W, filters] (He et al. 2016)."""
    return keras.layers.Activation("silu")(keras.layers.Add()([x, _conv(x, filters, 1, eight_bits)]))


def pool_to(x: Any, most: Sequence[int]) -> Any:
    """Averages over parts of the grid: [B, H, W, C] to [B, min(H, most[0]), min(W, most[1]), C]."""
    grid, channels = tuple(x.shape[1:3]), x.shape[-1]
    cells = tuple(min(kept, there) for kept, there in zip(most, grid, strict=True))
    if cells == grid:
        return x
    if 1 in grid:  # Keras's layer for two dimensions cannot pool a line in a graph
        line = keras.layers.Reshape((max(grid), channels))(x)
        line = keras.layers.AdaptiveAveragePooling1D(max(cells))(line)
        return keras.layers.Reshape((*cells, channels))(line)
    return keras.layers.AdaptiveAveragePooling2D(cells)(x)


def _conv(x: Any, filters: int, stride: int, eight_bits: bool) -> Any:
    kind = EightBitConv2D if eight_bits else keras.layers.Conv2D
    x = EightBits()(x) if eight_bits else x
    x = kind(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    x = batch_norm()(x)
    return EightBits()(x) if eight_bits else x
