"""From features to latents: a convolutional trunk with a shared and a private head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from vqmm.config import Model
from vqmm.networks.blocks import batch_norm, conv_norm, pool_to, residual_block
from vqmm.networks.eight_bits import EightBitDense, EightBits
from vqmm.networks.replica_random import Dropout

DEFAULTS = Model()

LAYOUTS = ("slots", "grid")


class Latents(NamedTuple):
    """What an encoder gives.

    Attributes:
        shared: f32[B, T, D], to be quantized in the shared range.
        private: f32[B, P, D] in row-major grid order, or None without private codes.
    """

    shared: Any
    private: Any


@keras.saving.register_keras_serializable("vqmm")
class Encoder(keras.layers.Layer):
    """Encodes a spectrogram or a picture.

    Each item is first scaled to zero mean and unit variance, so that loudness and
    contrast do not reach the shared latents; both numbers are handed to the private
    head, which needs them to rebuild the item.

    Args:
        filters: channels after each halving of height and width; the private codes
            lie on the grid after the last one.
        dim: size of a latent.
        layout: `"slots"`: a dense head makes `slots` latents from the whole item;
            `"grid"`: every cell of the grid is a shared latent.
        slots: number of shared latents of the slots layout.
        pool: rows and columns that the slots head keeps of the grid, at most.
        private: whether there is a private head.
        mean_normalised: whether the trunk also sees each column without its mean over
            rows. For a log-mel spectrogram (rows are frames) that is cepstral mean
            normalisation (Atal 1974), in which the colour of a voice, microphone or line
            drops out.
        dropout: in the slots head.
        seed: of the dropout. The encoders of a pair need different ones: equal masks on
            both sides tell a contrastive loss which rows belong together.
        eight_bits: whether trunk and shared head are trained with numbers rounded to 8 bits.

    Input shape: f32[B, H, W, C]. Output: `Latents`.
    """

    def __init__(
        self,
        filters: Sequence[int],
        dim: int,
        layout: str = DEFAULTS.layout,
        slots: int = DEFAULTS.slots,
        pool: Sequence[int] = (4, 2),
        private: bool = True,
        mean_normalised: bool = False,
        dropout: float = DEFAULTS.dropout,
        seed: int = 0,
        eight_bits: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if layout not in LAYOUTS:
            raise ValueError(f"layout={layout!r}; legal: {', '.join(LAYOUTS)}")
        self.filters = tuple(filters)
        self.dim = dim
        self.layout = layout
        self.slots = slots
        self.pool = tuple(pool)
        self.private = private
        self.mean_normalised = mean_normalised
        self.dropout = dropout
        self.seed = seed
        self.eight_bits = eight_bits

    def build(self, input_shape: Sequence[Any]) -> None:
        height, width, channels = input_shape[1:]
        item = keras.Input((height, width, channels * (1 + self.mean_normalised)))
        x = item
        for count in self.filters:
            x = conv_norm(x, count, 2, self.eight_bits)
            x = residual_block(x, count, self.eight_bits)
        self.trunk = keras.Model(item, x, name="trunk")
        grid = keras.Input(x.shape[1:])
        if self.layout == "grid":
            tokens = keras.layers.Conv2D(self.dim, 1)(grid)
            tokens = keras.layers.Reshape((-1, self.dim))(tokens)
        else:
            y = conv_norm(grid, 3 * self.filters[-1] // 2, 2, self.eight_bits)
            y = residual_block(y, 3 * self.filters[-1] // 2, self.eight_bits)
            y = pool_to(y, self.pool)
            y = keras.layers.Flatten()(y)
            y = Dropout(self.dropout, seed=2 * self.seed)(y)
            y = self._dense(y, 256)
            y = batch_norm()(y)
            y = keras.layers.Activation("silu")(y)
            y = Dropout(self.dropout, seed=2 * self.seed + 1)(y)
            y = self._dense(y, self.slots * self.dim)
            tokens = keras.layers.Reshape((self.slots, self.dim))(y)
        self.shared_head = keras.Model(grid, tokens, name="shared_head")
        self.grid_shape = tuple(x.shape[1:3])
        if self.private:
            self.private_head = keras.layers.Conv2D(self.dim, 1, name="private_head")
            self.private_head.build((None, *self.grid_shape, x.shape[-1] + 2))
        self.built = True

    def _dense(self, x: Any, units: int) -> Any:
        if not self.eight_bits:
            return keras.layers.Dense(units)(x)
        return EightBits()(EightBitDense(units)(EightBits()(x)))

    def call(self, features: Any, training: bool | None = None) -> Latents:
        features = ops.cast(features, "float32")
        mean = ops.mean(features, axis=(1, 2, 3), keepdims=True)
        spread = ops.sqrt(ops.mean(ops.square(features - mean), axis=(1, 2, 3), keepdims=True) + 1e-4)
        scaled = (features - mean) / spread
        if self.mean_normalised:
            scaled = ops.concatenate([scaled, scaled - ops.mean(scaled, axis=1, keepdims=True)], axis=-1)
        grid = self.trunk(scaled, training=training)
        shared = self.shared_head(grid, training=training)
        if not self.private:
            return Latents(shared, None)
        level = ops.cast(ops.concatenate([mean, spread], axis=-1), grid.dtype)
        level = ops.broadcast_to(level, (*ops.shape(grid)[:3], 2))
        private = self.private_head(ops.concatenate([grid, level], axis=-1))
        return Latents(shared, ops.reshape(private, (ops.shape(private)[0], -1, self.dim)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "dim": self.dim,
            "layout": self.layout,
            "slots": self.slots,
            "pool": self.pool,
            "private": self.private,
            "mean_normalised": self.mean_normalised,
            "dropout": self.dropout,
            "seed": self.seed,
            "eight_bits": self.eight_bits,
        }
