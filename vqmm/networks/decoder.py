"""From codes back to features: private codes on the grid, shared codes by attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from vqmm.networks.blocks import residual_block
from vqmm.networks.outputs import expected_value, parameter_count


class Decoded(NamedTuple):
    """What a decoder gives.

    Attributes:
        parameters: f32[B, H, W, P], the last layer.
        hidden: [B, H / 2, W / 2, F] rounded up, what the last layer reads.
    """

    parameters: Any
    hidden: Any


@keras.saving.register_keras_serializable("vqmm")
class Decoder(keras.layers.Layer):
    """Rebuilds a spectrogram or a picture from code vectors.

    Every cell of the grid asks the shared codes with a learned query; where the
    private codes are missing, a learned vector stands in for them, so that the
    decoder also works from the shared codes of the other modality alone.

    Args:
        filters: channels before each doubling of height and width.
        dim: size of a code vector.
        grid_shape: rows and columns of the private codes' grid.
        output_shape: height, width and channels of the features.
        slots: number of shared codes with a place of their own; 0 for the grid
            layout, whose shared codes are read as a bag.
        private: whether there are private codes.
        bounded: whether values lie between 0 and 1 (a sigmoid).
        offset, scale: typical mean and spread of an unbounded output, so that the
            network starts near it.
        output: what the last layer stands for: `"value"`, or a distribution over 256 levels,
            `"categorical"` or `"logistic"` (see `vqmm.networks.outputs`).
        eight_bits: whether the trunk's residual block is trained with numbers rounded to 8 bits.

    Inputs: shared f32[B, T, dim]; private f32[B, P, dim] or None; keep_private
    bool[B] or None, False where the private codes are to be left out.
    Output: `Decoded`; `value` makes f32[B, H, W, C] of its parameters.
    """

    def __init__(
        self,
        filters: Sequence[int],
        dim: int,
        grid_shape: Sequence[int],
        output_shape: Sequence[int],
        slots: int = 0,
        private: bool = True,
        bounded: bool = False,
        offset: float = 0.0,
        scale: float = 1.0,
        output: str = "value",
        eight_bits: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.dim = dim
        self.grid_shape = tuple(grid_shape)
        self.output_size = tuple(output_shape)
        self.slots = slots
        self.private = private
        self.bounded = bounded
        self.offset = offset
        self.scale = scale
        self.output_kind = output
        self.eight_bits = eight_bits
        self.parameters = parameter_count(output, self.output_size[2])
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if getattr(self, "built", False):  # made in the constructor: nothing depends on inputs
            return
        rows, columns = self.grid_shape
        width = self.filters[0]
        small = keras.initializers.RandomNormal(stddev=0.05, seed=0)
        self.queries = self.add_weight(name="queries", shape=(rows * columns, width), initializer=small)
        self.places = self.add_weight(
            name="places", shape=(max(self.slots, 1), self.dim), initializer=small, trainable=self.slots > 0
        )
        self.absent = self.add_weight(name="absent", shape=(self.dim,), initializer=small)
        self.attention = keras.layers.MultiHeadAttention(4, max(width // 4, 1), name="attention")
        self.attention.build((None, rows * columns, width), (None, None, self.dim))
        grid = keras.Input((rows, columns, width + self.dim))
        x = keras.layers.Conv2D(width, 1)(grid)
        x = residual_block(x, width, self.eight_bits)
        # Kernel 4 with stride 2 covers every cell equally: no checkerboard.
        for count in self.filters[1:]:
            x = keras.layers.Conv2DTranspose(count, 4, strides=2, padding="same")(x)
            x = keras.layers.Activation("silu")(x)
        self.trunk = keras.Model(grid, x, name="trunk")
        self.last = keras.layers.Conv2DTranspose(self.parameters, 4, strides=2, padding="same", name="last")
        self.last.build(x.shape)
        self.built = True

    def call(
        self,
        shared: Any,
        private: Any = None,
        keep_private: Any = None,
        training: bool | None = None,
    ) -> Any:
        batch = ops.shape(shared)[0]
        cells = self.grid_shape[0] * self.grid_shape[1]
        absent = ops.broadcast_to(ops.cast(self.absent, shared.dtype), (batch, cells, self.dim))
        if private is None or not self.private:
            private = absent
        elif keep_private is not None:
            private = ops.where(ops.reshape(keep_private, (-1, 1, 1)), private, absent)
        tokens = shared + ops.cast(self.places, shared.dtype) if self.slots else shared
        queries = ops.broadcast_to(ops.cast(self.queries, shared.dtype), (batch, *self.queries.shape))
        read = self.attention(queries, tokens, training=training)
        grid = ops.concatenate([read, private], axis=-1)
        grid = ops.reshape(grid, (batch, *self.grid_shape, grid.shape[-1]))
        hidden = self.trunk(grid, training=training)
        return Decoded(self.read_out(hidden), hidden)

    def read_out(self, hidden: Any) -> Any:
        """The last layer, f32[B, H, W, P], from what comes before it."""
        height, width, _ = self.output_size
        # Halvings round up, so doubling can overshoot by a few cells.
        return ops.cast(self.last(hidden)[:, :height, :width, :], "float32")

    def value(self, parameters: Any) -> Any:
        """What is rebuilt, f32[B, H, W, C], from the last layer: the mean of a distribution."""
        if self.output_kind != "value":
            return expected_value(parameters, self.output_kind)
        return ops.sigmoid(parameters) if self.bounded else self.offset + self.scale * parameters

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "dim": self.dim,
            "grid_shape": self.grid_shape,
            "output_shape": self.output_size,
            "slots": self.slots,
            "private": self.private,
            "bounded": self.bounded,
            "offset": self.offset,
            "scale": self.scale,
            "output": self.output_kind,
            "eight_bits": self.eight_bits,
        }
