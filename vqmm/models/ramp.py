"""How a term of a loss comes in."""

from __future__ import annotations

from typing import Any

from keras import ops


def ramp(step: Any, start: int, length: int) -> Any:
    """Share of its weight that a term has which comes in at step `start`, over `length` steps; f32 scalar."""
    since = ops.cast(ops.convert_to_tensor(step) - start, "float32")
    return ops.clip((since + 1.0) / max(length, 1), 0.0, 1.0)
