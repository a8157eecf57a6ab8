"""Random numbers in the graph, each item's from its own seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf


def item_seeds(seed: int, step: int, count: int) -> npt.NDArray[np.int32]:
    """Seeds of a batch's items, i32[count, 4]: a pair for the recording, a pair for the picture.

    Item i's seeds follow from (seed, step, i) alone.
    """
    words = np.random.SeedSequence([seed, step]).generate_state(4 * count, np.uint32)
    return words.view(np.int32).reshape(count, 4)


def uniform(seeds: Any, shape: Sequence[int], stream: int) -> Any:
    """Uniform numbers in 0..1, f32[B, *shape], from seeds i32[B, 2]; streams are independent."""
    return _draw(tf.random.stateless_uniform, seeds, shape, stream)


def normal(seeds: Any, shape: Sequence[int], stream: int) -> Any:
    """Standard normal numbers, f32[B, *shape], from seeds i32[B, 2]; streams are independent."""
    return _draw(tf.random.stateless_normal, seeds, shape, stream)


def between(unit: Any, low: float, high: float) -> Any:
    """Stretches numbers in 0..1 to low..high."""
    return low + unit * (high - low)


def _draw(draw: Any, seeds: Any, shape: Sequence[int], stream: int) -> Any:
    spec = tf.TensorSpec(tuple(shape), tf.float32)
    return tf.map_fn(
        lambda seed: draw(shape, tf.random.experimental.stateless_fold_in(seed, stream), alg="philox"),
        seeds,
        fn_output_signature=spec,
    )
