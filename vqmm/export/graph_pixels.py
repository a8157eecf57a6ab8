"""Pixels of a PNG or JPEG file inside a graph: decoded, turned upright, reduced."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from vqmm.data.orientation import TURNS
from vqmm.export.picture_header import PictureHeader

FULL = 65_535  # all files are decoded to 16 bits: v of 8 bits becomes 257 v, which is the same fraction


def decode_picture(data: Any, header: PictureHeader) -> Any:
    """Decodes a picture and turns it upright, as `vqmm.data.pixels.upright` does.

    Args:
        data: str scalar, PNG or JPEG.
        header: of it.

    Returns:
        u16[h, w, 4]: red, green, blue and alpha; colour keys are alpha.
    """
    samples = tf.cond(
        tf.io.is_jpeg(data),
        lambda: _jpeg(data),
        lambda: _png(data, header.opaque),
    )
    samples = tf.ensure_shape(samples, (None, None, 4))
    return tf.cond(header.orientation == 1, lambda: samples, lambda: _upright(samples, header.orientation))


def _upright(samples: Any, orientation: Any) -> Any:
    table = tf.constant([[False] * len(TURNS[1]), *TURNS.values()])
    transpose, *flips = tf.unstack(tf.gather(table, orientation))
    samples = tf.transpose(samples, tf.where(transpose, [1, 0, 2], [0, 1, 2]))
    return tf.reverse(samples, tf.boolean_mask([0, 1], tf.stack(flips)))


def reduce_picture(samples: Any, step: Any) -> Any:
    """Reduces a picture as `vqmm.data.pixels.flatten` does.

    Args:
        samples: u16[h, w, 4], colour and alpha.
        step: rows and columns that become one, i32 scalar.

    Returns:
        f32[ceil(h / step), ceil(w / step), 4], 0..1: colour times alpha, and alpha.
    """

    def whole() -> Any:
        picture = tf.cast(samples, tf.float32) / float(FULL)
        return tf.concat([picture[:, :, :3] * picture[:, :, 3:], picture[:, :, 3:]], 2)

    return tf.ensure_shape(tf.cond(step == 1, whole, lambda: _means(samples, step)), (None, None, 4))


def _jpeg(data: Any) -> Any:
    # The transform that Pillow uses; the quicker one is some levels off.
    colour = tf.cast(tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"), tf.uint16)
    return tf.pad(colour, [[0, 0], [0, 0], [0, 1]], constant_values=255) * 257


def _png(data: Any, opaque: Any) -> Any:
    samples = tf.io.decode_png(data, channels=4, dtype=tf.uint16)
    return tf.where(opaque & (tf.range(4) == 3), tf.constant(FULL, tf.uint16), samples)


def _means(samples: Any, step: Any) -> Any:
    """Means of `step` x `step` pixels, from sums of whole numbers: those of `prepare` are the same."""
    rows, columns = tf.shape(samples)[0], tf.shape(samples)[1]
    across = -(-columns // step)
    wide = tf.minimum(step, columns - tf.range(0, columns, step))

    def one(top: Any) -> Any:
        block = tf.cast(samples[top : top + step], tf.int64)
        alpha = block[:, :, 3:]
        sums = tf.reduce_sum(tf.concat([block[:, :, :3] * alpha, alpha * FULL], 2), axis=0)
        sums = tf.pad(sums, [[0, across * step - columns], [0, 0]])
        sums = tf.reduce_sum(tf.reshape(sums, (across, step, 4)), axis=1)
        count = tf.cast(tf.shape(block)[0] * wide, tf.float64)[:, None]
        return tf.cast(tf.cast(sums, tf.float64) / (count * float(FULL) ** 2), tf.float32)

    # Row by row: whole numbers of all pixels would take much memory.
    spec = tf.TensorSpec((None, 4), tf.float32)
    return tf.map_fn(one, tf.range(0, rows, step), parallel_iterations=1, fn_output_signature=spec)
