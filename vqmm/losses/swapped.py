"""Swapped prediction: each modality predicts the balanced codes of the other."""

from __future__ import annotations

from typing import Any

from keras import ops

from vqmm.config import Loss
from vqmm.losses.weighting import masked_mean

DEFAULTS = Loss()


def sinkhorn(
    scores: Any, mask: Any, epsilon: float = DEFAULTS.sinkhorn_epsilon, rounds: int = DEFAULTS.sinkhorn_rounds
) -> Any:
    """Soft assignments that use every code equally often (Cuturi 2013; Caron et al. 2020, appendix A).

    Args:
        scores: f32[B, ..., K], similarities of tokens and codes.
        mask: bool[B]; False rows take no part.
        epsilon: entropy of the assignment; smaller is harder.
        rounds: of alternating normalisation.

    Returns:
        f32[B, ..., K]; rows sum to 1, columns to about B / K.
    """
    present = ops.cast(ops.reshape(mask, (-1, *([1] * (len(scores.shape) - 1)))), "float32")
    plan = scores / epsilon
    plan = ops.exp(plan - ops.max(plan, axis=-1, keepdims=True)) * present
    for _ in range(rounds):
        plan = plan / ops.maximum(ops.sum(plan, axis=0, keepdims=True), 1e-9)
        plan = plan / ops.maximum(ops.sum(plan, axis=-1, keepdims=True), 1e-9)
    return plan * present


def swapped_loss(
    audio_scores: Any,
    image_scores: Any,
    paired: Any,
    temperature: float = DEFAULTS.temperature,
    epsilon: float = DEFAULTS.sinkhorn_epsilon,
    rounds: int = DEFAULTS.sinkhorn_rounds,
) -> Any:
    """Swapped prediction (Caron et al. 2020, equation 2) across modalities.

    Args:
        audio_scores, image_scores: f32[B, T, K], cosines of the tokens of a pair with
            the shared codes. Gradients reach the latents and the codes.
        paired: bool[B].
        temperature: of the predictions.
        epsilon, rounds: see `sinkhorn`.

    Returns:
        f32 scalar, mean over pairs, tokens and both directions.
    """
    targets = [sinkhorn(ops.stop_gradient(s), paired, epsilon, rounds) for s in (audio_scores, image_scores)]
    logs = [ops.log_softmax(s / temperature, axis=-1) for s in (audio_scores, image_scores)]
    crossed = -ops.sum(targets[0] * logs[1] + targets[1] * logs[0], axis=-1)
    return masked_mean(0.5 * ops.mean(crossed, axis=1), paired)
