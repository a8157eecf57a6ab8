"""Which part of a recording the model sees: a window of fixed length."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def loudest_start(samples: Any, length: int) -> Any:
    """Finds the window with the most energy.

    Args:
        samples: i16[n].
        length: of the window.

    Returns:
        i64 scalar, its first sample, the earliest of several; 0 where n <= length.
    """
    # Whole numbers, so that the sums are exact and the answer does not hang on their order.
    energy = tf.cumsum(tf.concat([[0], tf.square(tf.cast(samples, tf.int64))], 0))
    sums = energy[length:] - energy[:-length]
    return tf.cond(tf.size(sums) > 0, lambda: tf.argmax(sums), lambda: tf.constant(0, tf.int64))


def window_start(loudest: Any, length: Any, window: int, jitter: Any) -> Any:
    """Places the window in recordings.

    Args:
        loudest: i64[...] from `loudest_start`.
        length: i64[...] samples in each recording.
        window: samples in the window.
        jitter: f32[...] in windows, -0.5..0.5: how far to step from the loudest window.

    Returns:
        i64[...] first sample: within the recording where that is longer than the
        window, else negative, so that the recording is centred.
    """
    spare = length - window
    moved = loudest + tf.cast(tf.round(jitter * float(window)), tf.int64)
    return tf.where(spare > 0, tf.clip_by_value(moved, 0, tf.maximum(spare, 0)), tf.math.floordiv(spare, 2))


def cut(samples: Any, offset: Any, length: Any, start: Any, window: int) -> Any:
    """Cuts windows out of recordings that lie end to end, zeros beyond their ends.

    Args:
        samples: i16[total].
        offset: i32 or i64[...] where each recording begins; i32 is quicker.
        length: i64[...] samples in each recording; 0 gives silence.
        start: i64[...] first sample of the window, relative to the recording.
        window: samples in the window.

    Returns:
        f32[..., window], -1..1.
    """
    place = tf.cast(start, offset.dtype)[..., None] + tf.range(window, dtype=offset.dtype)
    inside = (place >= 0) & (place < tf.cast(length, offset.dtype)[..., None])
    values = tf.gather(samples, tf.where(inside, offset[..., None] + place, 0))
    return tf.where(inside, tf.cast(values, tf.float32) / 32768.0, 0.0)
