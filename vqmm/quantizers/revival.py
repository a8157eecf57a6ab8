"""Where codes that died are placed anew: on random latents, the same ones on any number of replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from vqmm.replicas import replica_count, replica_id, sum_over_replicas


def draw_places(draws: Any, tokens: Sequence[Any], present: Sequence[Any]) -> Any:
    """Draws a latent for every code.

    Each modality has the same chance, whatever its number of tokens. A draw names a
    modality and the rank of a token among all that are present on all replicas; the
    replica that holds it answers, the others answer 0. So neither the order of the
    modalities nor the number of replicas changes what is drawn.

    Args:
        draws: f32[2, K] in 0..1, the same on all replicas.
        tokens: f32[n, D] of each modality.
        present: f32[n] of each, 1 where the token may be drawn, else 0.

    Returns:
        f32[K, D], to be summed over replicas; 0 where no modality has a token.
    """
    local = ops.stack([ops.sum(weights) for weights in present])
    keys = ops.stack([ops.sum(w[:, None] * x) for w, x in zip(present, tokens, strict=True)])
    replicas = ops.arange(replica_count())
    here = ops.cast(ops.equal(replicas, replica_id()), "float32")[:, None]
    by_replica, keys = sum_over_replicas([here * local[None], keys])
    counts = ops.sum(by_replica, axis=0)
    before = ops.sum(by_replica * ops.cast(replicas < replica_id(), "float32")[:, None], axis=0)
    # Ordered by what they hold, so that their order in the list means nothing.
    order = ops.argsort(ops.where(counts > 0, keys, 1e30))
    chosen = ops.take(order, ops.cast(_below(draws[0], ops.sum(ops.cast(counts > 0, "float32"))), "int32"))
    rank = _below(draws[1], ops.take(counts, chosen)) - ops.take(before, chosen)
    places = ops.zeros((draws.shape[1], tokens[0].shape[-1]))
    for modality, (x, weights) in enumerate(zip(tokens, present, strict=True)):
        mine = ops.logical_and(chosen == modality, ops.logical_and(rank >= 0, rank < local[modality]))
        at = ops.searchsorted(ops.cumsum(weights), ops.maximum(rank, 0.0) + 1.0)
        one_more = ops.concatenate([x, ops.zeros_like(places[:1])])  # to be read where there is none
        at = ops.minimum(ops.cast(at, "int32"), ops.shape(x)[0])
        places = places + ops.cast(mine, "float32")[:, None] * ops.take(one_more, at, axis=0)
    return places


def _below(draws: Any, count: Any) -> Any:
    """Draws in 0..1 as whole numbers f32 in 0..count - 1; 0 where there are none."""
    return ops.maximum(ops.minimum(ops.floor(draws * count), count - 1.0), 0.0)
