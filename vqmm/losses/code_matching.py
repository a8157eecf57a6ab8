"""Cross-modal code matching: paired items should use the same codes."""

from __future__ import annotations

from typing import Any

from keras import ops

from vqmm.config import Loss
from vqmm.losses.contrastive import without_copies
from vqmm.losses.weighting import masked_mean

DEFAULTS = Loss()


def code_matching_loss(
    audio_scores: Any,
    image_scores: Any,
    paired: Any,
    temperature: float = DEFAULTS.temperature,
    items: Any = None,
) -> Any:
    """Code-distribution matching (Liu et al. 2022, CMCM), symmetric, by log-softmax.

    An item's code distribution is the mean over its tokens of softmax(scores /
    temperature); two items are as similar as minus their symmetric cross-entropy;
    a pair must be more similar than the other pairs of the batch.

    Args:
        audio_scores, image_scores: f32[B, T, K], similarities of tokens and codes.
        paired: bool[B].
        temperature: 0.05-0.1 for cosines; 1 is for distances of data scale.
        items: i64[B], the item of each row, as for `contrastive_loss`; None: each row is one of its own.

    Returns:
        f32 scalar.
    """
    audio = ops.mean(ops.softmax(audio_scores / temperature, axis=-1), axis=1)
    image = ops.mean(ops.softmax(image_scores / temperature, axis=-1), axis=1)
    log_audio, log_image = ops.log(audio + 1e-10), ops.log(image + 1e-10)
    similarity = ops.matmul(audio, ops.transpose(log_image)) + ops.matmul(log_audio, ops.transpose(image))
    similarity = without_copies(similarity, items)
    present = ops.cast(paired, "float32")
    similarity = similarity - 1e9 * (1.0 - present[None, :]) - 1e9 * (1.0 - present[:, None])
    right = ops.diagonal(similarity)
    rows = ops.logsumexp(similarity, axis=1) - right
    columns = ops.logsumexp(similarity, axis=0) - right
    return masked_mean(0.5 * (rows + columns), paired)
