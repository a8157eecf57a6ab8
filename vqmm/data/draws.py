"""Random numbers in the graph, each item's from its own seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf


def item_seeds(seed: int, step: int, count: int) -> npt.NDArray[np.int32]:
    """Seeds of a batch's items, i32[count, 4]: a pair for the recording, a pair for the picture.

    Item i's seeds follow from (seed, step, i) alone.
    """
    words = np.random.SeedSequence([seed, step]).generate_state(4 * count, np.uint32)
    return words.view(np.int32).reshape(count, 4)


class Stream(NamedTuple):
    """Numbers that each item needs.

    Attributes:
        number: of the stream; streams are independent.
        shape: of an item's numbers.
        normal: whether they are standard normal, not uniform in 0..1.
    """

    number: int
    shape: Sequence[int]
    normal: bool = False


def drawn(seeds: Any, streams: Sequence[Stream]) -> dict[int, Any]:
    """Numbers f32[B, *shape] of streams, by the streams' numbers, from seeds i32[B, 2].

    All in one loop over the items: five loops took half as long again.
    """

    def of_one(seed: Any) -> tuple[Any, ...]:
        return tuple(_draw(stream, seed) for stream in streams)

    specs = tuple(tf.TensorSpec(tuple(stream.shape), tf.float32) for stream in streams)
    found = tf.map_fn(of_one, seeds, fn_output_signature=specs)
    return {stream.number: numbers for stream, numbers in zip(streams, found, strict=True)}


def between(unit: Any, low: float, high: float) -> Any:
    """Stretches numbers in 0..1 to low..high."""
    return low + unit * (high - low)


def _draw(stream: Stream, seed: Any) -> Any:
    draw = tf.random.stateless_normal if stream.normal else tf.random.stateless_uniform
    return draw(stream.shape, tf.random.experimental.stateless_fold_in(seed, stream.number), alg="philox")
