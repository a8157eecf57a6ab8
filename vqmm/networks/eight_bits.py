"""Quantization-aware training: layers that are trained with numbers rounded to 8 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

SMALLEST = 1e-6  # half the width of a range; a range of one value has no steps


def rounded_values(x: Any) -> Any:
    """Rounds x to 256 steps from its least to its greatest value; gradients pass straight through."""
    low = ops.stop_gradient(ops.minimum(ops.min(x), -SMALLEST))  # 0 is a step: padding stays what it is
    high = ops.stop_gradient(ops.maximum(ops.max(x), SMALLEST))
    return _straight_through(x, keras.quantizers.fake_quant_with_min_max_vars(x, low, high))


def rounded_kernel(kernel: Any) -> Any:
    """Rounds each output channel (last axis) to 255 steps about 0; gradients pass straight through."""
    most = ops.max(ops.abs(kernel), axis=tuple(range(len(kernel.shape) - 1)))
    most = ops.stop_gradient(ops.maximum(most, SMALLEST))
    rounded = keras.quantizers.fake_quant_with_min_max_vars(kernel, -most, most, narrow_range=True, axis=-1)
    return _straight_through(kernel, rounded)


def _straight_through(x: Any, rounded: Any) -> Any:
    """Its own gradient is 0 at the greatest values where the range, once rounded, ends before them."""
    return x + ops.stop_gradient(rounded - x)


@keras.saving.register_keras_serializable("vqmm")
class EightBits(keras.layers.Layer):
    """What passes is rounded to 8 bits in training and left as it is otherwise.

    The range is that of the batch, so there is nothing to keep: a model trained with
    this layer has the weights of one without it, and what converts it finds ranges as
    it does for any other (Jacob et al. 2018, section 3).

    Input and output: f32 or f16 of any shape.
    """

    def call(self, x: Any, training: bool | None = None) -> Any:
        return rounded_values(x) if training else x


@keras.saving.register_keras_serializable("vqmm")
class EightBitConv2D(keras.layers.Conv2D):
    """A Conv2D whose kernel is rounded to 8 bits in training, each output channel by its own range.

    Batch normalisation that is folded into the kernel later scales whole channels, so
    the steps stay where they were. Arguments and shapes are those of `keras.layers.Conv2D`.
    """

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training:
            return super().call(x)
        y = self.convolution_op(x, rounded_kernel(ops.convert_to_tensor(self.kernel)))
        return self.activation(y if self.bias is None else ops.add(y, self.bias))


@keras.saving.register_keras_serializable("vqmm")
class EightBitDense(keras.layers.Dense):
    """A Dense layer whose kernel is rounded to 8 bits in training, each output by its own range.

    Arguments and shapes are those of `keras.layers.Dense`.
    """

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training:
            return super().call(x)
        y = ops.matmul(x, rounded_kernel(ops.convert_to_tensor(self.kernel)))
        return self.activation(y if self.bias is None else ops.add(y, self.bias))
