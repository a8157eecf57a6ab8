"""The number of a step, and what depends on it."""

from __future__ import annotations

from typing import Any

from keras import ops


def add_step(model: Any) -> Any:
    """Adds the variable that counts the steps of a model's training, i64 scalar, to a `keras.Model`."""
    return model.add_weight(
        name="step",
        shape=(),
        dtype="int64",
        initializer="zeros",
        trainable=False,
        aggregation="only_first_replica",
    )


def ramp(step: Any, start: int, length: int) -> Any:
    """Share of its weight that a term has which comes in at step `start`, over `length` steps; f32 scalar."""
    since = ops.cast(ops.convert_to_tensor(step) - start, "float32")
    return ops.clip((since + 1.0) / max(length, 1), 0.0, 1.0)
