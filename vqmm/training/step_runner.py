"""Runs training steps, several per call, under any strategy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf


class StepRunner:
    """Runs `model.train_step` on batch after batch inside one TensorFlow graph.

    Args:
        model: compiled, made in the strategy's scope.
        strategy: that it was made in.
        batches: of global batches, or with several processes of this one's part of each;
            entries that are text are left out.
        jit_compile: compile the step with XLA.

    Attributes:
        names: of the figures that a step returns, after the first call of `run`.
    """

    def __init__(self, model: Any, strategy: Any, batches: tf.data.Dataset, jit_compile: bool = False):
        self.names: list[str] = []
        self._iterator: Iterator[Any] = iter(_spread(strategy, batches.map(numbers_of)))

        @tf.autograph.experimental.do_not_convert  # nothing in a step needs it, and it is slow
        def one(batch: Any) -> Any:
            figures = model.train_step(batch)
            self.names = list(figures)
            return tf.stack([tf.cast(value, tf.float32) for value in figures.values()])

        step = tf.function(one, jit_compile=True, autograph=False) if jit_compile else one

        @tf.function(reduce_retracing=True)
        def many(iterator: Any, count: Any) -> Any:
            rows = tf.TensorArray(tf.float32, count)
            for i in tf.range(count):
                row = strategy.run(step, (next(iterator),))
                rows = rows.write(i, strategy.reduce("MEAN", row, axis=None))
            return rows.stack()

        self._many = many

    def run(self, count: int) -> np.ndarray:
        """Trains on the next `count` batches; returns f32[count, figures], in the order of `names`."""
        return self._many(self._iterator, tf.constant(count)).numpy()


def _spread(strategy: Any, batches: tf.data.Dataset) -> Any:
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return strategy.experimental_distribute_dataset(batches)
    rows = next(iter(batches.element_spec.values())).shape[0]
    each = rows // len(strategy.extended.worker_devices)
    return strategy.distribute_datasets_from_function(lambda _: batches.rebatch(each))


def numbers_of(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch without its text, which can be put neither on a GPU nor through XLA; no step reads it."""
    return {name: value for name, value in batch.items() if value.dtype != tf.string}
