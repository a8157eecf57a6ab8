"""Sums and gathers over the replicas of the running `tf.distribute` strategy.

Outside a strategy, or on another Keras backend, there is one replica and each
function returns its argument.
"""

from __future__ import annotations

from typing import Any

import keras


def _context() -> Any:
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def replica_count() -> int:
    """Number of replicas that compute one step together."""
    context = _context()
    return context.num_replicas_in_sync if context else 1


def replica_id() -> Any:
    """Index of this replica, an i32 scalar."""
    context = _context()
    return context.replica_id_in_sync_group if context else 0


def sum_over_replicas(values: list[Any]) -> list[Any]:
    """Sums each tensor of a list over all replicas."""
    context = _context()
    return context.all_reduce("sum", values) if context else values


def gather_over_replicas(value: Any) -> Any:
    """Joins a tensor along its batch axis over all replicas; differentiable."""
    context = _context()
    if not context:
        return value
    # The gather forgets the static shape of the other axes.
    return keras.ops.reshape(context.all_gather(value, axis=0), (-1, *value.shape[1:]))
