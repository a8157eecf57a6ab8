"""What a shared code leaves of its latent, as a second code: for ranking, not for meaning."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vqmm.quantizers.products import exact_matmul


@keras.saving.register_keras_serializable("vqmm")
class FineCodes(keras.layers.Layer):
    """A table for each slot, searched with the difference between a latent and its shared code.

    Shared codes say what a pair has in common, and all items of one meaning have the same
    ones, however plainly they show it. Fine codes keep the rest, so that what is taken for a
    7 but looks much like a 1 can be ranked behind what is plainly a 7. They are no part of
    what pairs agree on or decoders read.

    Residual quantization (Chen et al. 2010) with tables by slot, as in product quantization
    (Jégou et al. 2011): code vector and fine vector add up to an estimate of the latent, and
    so do their inner products with a query.

    Nothing is learned in training: `vqmm.training.fine_fit.with_fine_codes` places the vectors
    among the latents of the finished model.

    Args:
        slots: shared codes of an item.
        codes: rows of each slot's table.
        dim: of the space in which shared codes are looked up.

    Inputs: f32[B, slots, dim], latents of unit length less their code vectors of unit length.
    Output: i32[B, slots], rows of each slot's table.

    Raises:
        ValueError: sizes below 1, and at a call another shape.
    """

    def __init__(self, slots: int, codes: int, dim: int, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=False, **{k: v for k, v in kwargs.items() if k != "trainable"})
        if min(slots, codes, dim) < 1:
            raise ValueError(f"slots={slots}, codes={codes}, dim={dim}; each is 1 or more")
        self.slots, self.codes, self.dim = int(slots), int(codes), int(dim)
        self.tables = self.add_weight(
            name="tables",
            shape=(self.slots, self.codes, self.dim),
            initializer="zeros",
            trainable=False,
            dtype="float32",
        )
        self.built = True

    def call(self, left: Any) -> Any:
        if tuple(left.shape[1:]) != (self.slots, self.dim):
            raise ValueError(f"input of shape {left.shape}; these tables take (B, {self.slots}, {self.dim})")
        tables = ops.convert_to_tensor(self.tables)
        rows = ops.transpose(ops.cast(left, "float32"), (1, 0, 2))
        products = ops.transpose(exact_matmul(rows, ops.transpose(tables, (0, 2, 1))), (1, 0, 2))
        scores = products - 0.5 * ops.sum(ops.square(tables), axis=-1)
        return ops.cast(ops.argmax(scores, axis=-1), "int32")

    def codes_to_values(self, codes: Any) -> Any:
        """What to add to the vectors of the shared codes: f32[B, slots, dim] of codes i32[B, slots]."""
        rows = ops.reshape(ops.convert_to_tensor(self.tables), (-1, self.dim))
        return ops.take(rows, codes + self.codes * ops.arange(self.slots, dtype="int32"), axis=0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "slots": self.slots, "codes": self.codes, "dim": self.dim}
