"""Means over the items of a batch that are there."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vqmm.replicas import replica_count, sum_over_replicas


def masked_mean(per_item: Any, mask: Any) -> Any:
    """Mean of f32[B] over the items where mask bool[B] is True; 0 where there is none.

    Over replicas each item weighs alike, however those that are there are spread: the
    mean of what the replicas get is that of their joint batch.

    Args:
        per_item: f32[B].
        mask: bool[B], or f32[B] as `item_weights` makes of it. Inside of `ops.cond`
            replicas cannot meet: what is computed there takes weights from outside.
    """
    weights = item_weights(mask) if keras.backend.standardize_dtype(mask.dtype) == "bool" else mask
    return ops.sum(ops.where(weights > 0, per_item, ops.zeros_like(per_item)) * weights)


def item_weights(mask: Any) -> Any:
    """The share f32[B] of each item of mask bool[B] in the mean over all replicas, times their number."""
    present = ops.cast(mask, "float32")
    (count,) = sum_over_replicas([ops.sum(present)])
    return present * replica_count() / ops.maximum(count, 1.0)
