"""InfoNCE between the two modalities of a batch of pairs."""

from __future__ import annotations

from typing import Any

from keras import ops

from vqmm.config import Loss
from vqmm.losses.weighting import masked_mean

DEFAULTS = Loss()


def contrastive_loss(
    audio: Any, image: Any, paired: Any, temperature: float = DEFAULTS.temperature, items: Any = None
) -> Any:
    """Symmetric InfoNCE (van den Oord et al. 2018, equation 4; Radford et al. 2021).

    Args:
        audio, image: f32[B, T, D], unit vectors; row i of both is one pair. Two items
            are as similar as the mean cosine over their T tokens.
        paired: bool[B], False where a modality is missing; such rows neither pull
            nor serve as negatives.
        temperature: divides the similarities.
        items: i64[B], the item of each row; rows of one item are no negatives of each other. None: each
            row is an item of its own.

    Returns:
        f32 scalar. With C balanced classes and pairs drawn by class it cannot fall
        much below log(B / C): same-class items are negatives of each other.
    """
    size = audio.shape[1] * audio.shape[2]
    flat_audio, flat_image = ops.reshape(audio, (-1, size)), ops.reshape(image, (-1, size))
    logits = ops.matmul(flat_audio, ops.transpose(flat_image)) / (audio.shape[1] * temperature)
    logits = without_copies(logits, items)
    present = ops.cast(paired, "float32")
    logits = logits - 1e9 * (1.0 - present[None, :]) - 1e9 * (1.0 - present[:, None])
    right = ops.diagonal(logits)
    rows = ops.logsumexp(logits, axis=1) - right
    columns = ops.logsumexp(logits, axis=0) - right
    return masked_mean(0.5 * (rows + columns), paired)


def without_copies(similarities: Any, items: Any) -> Any:
    """Similarities f32[B, B] of all pairs of rows, without those of one item with another row of it.

    Args:
        similarities: f32[B, B]; the diagonal, a pair with itself, stays.
        items: i64[B], the item of each row; None leaves all as it is.
    """
    if items is None:
        return similarities
    rows = ops.arange(ops.shape(items)[0])
    copies = ops.logical_and(items[:, None] == items[None, :], rows[:, None] != rows[None, :])
    return ops.where(copies, -1e9, similarities)
