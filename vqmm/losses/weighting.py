"""Means over the items of a batch that are there."""

from __future__ import annotations

from typing import Any

from keras import ops


def masked_mean(per_item: Any, mask: Any) -> Any:
    """Mean of f32[B] over the items where mask bool[B] is True; 0 where there is none."""
    present = ops.cast(mask, "float32")
    return ops.sum(ops.where(mask, per_item, ops.zeros_like(per_item))) / ops.maximum(ops.sum(present), 1.0)
