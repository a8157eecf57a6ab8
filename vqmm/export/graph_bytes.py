"""Numbers out of a file inside a graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

PAD = 64  # zero bytes behind the file: what a header places beyond its end reads as zeros


class GraphBytes:
    """A file in a graph, whose numbers are read at places that the graph computes.

    Args:
        data: str scalar.

    Attributes:
        length: bytes of the file, i64 scalar.
    """

    def __init__(self, data: Any) -> None:
        self.length = tf.cast(tf.strings.length(data), tf.int64)
        self._bytes = tf.concat([tf.io.decode_raw(data, tf.uint8), tf.zeros(PAD, tf.uint8)], 0)

    def values(self, place: Any, count: int) -> Any:
        """Bytes as numbers, i64[..., count].

        Args:
            place: of the first of them, i64[...].
            count: at most `PAD`.
        """
        place = tf.clip_by_value(place, 0, self.length)
        found = tf.gather(self._bytes, place[..., None] + tf.constant(list(range(count)), tf.int64))
        return tf.cast(found, tf.int64)

    def numbers(self, place: Any, count: int, little: Any = False) -> Any:
        """Whole numbers of `count` bytes, i64[...]; highest byte first unless `little`.

        Args:
            place: i64[...].
            count: at most 8.
            little: bool scalar.
        """
        return joined(self.values(place, count), little)


def joined(values: Any, little: Any = False) -> Any:
    """The whole numbers that bytes i64[..., n] stand for, i64[...]; highest first unless `little`."""
    count = values.shape[-1]
    weights = tf.constant([256**power for power in reversed(range(count))], tf.int64)
    if little is not False:
        weights = tf.where(little, weights[::-1], weights)
    return tf.reduce_sum(values * weights, axis=-1)


def name_number(name: str) -> int:
    """The number that the bytes of a name stand for, highest first."""
    return int.from_bytes(name.encode("latin-1"), "big")
