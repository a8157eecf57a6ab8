"""Distances in features, and over several resolutions of a spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from vqmm.losses.weighting import masked_mean


def perceptual_distance(real: Sequence[Any], fake: Sequence[Any]) -> Any:
    """LPIPS-style distance (Zhang et al. 2018, equation 1) with equal weights for channels.

    Features are scaled to unit length at each place; their squared differences are summed
    over channels, averaged over places, and added over layers.

    Args:
        real, fake: features f32[B, H, W, C] by layer.

    Returns:
        f32[B]; 0 for equal items, at most 4 for each layer.
    """
    total: Any = 0.0
    for r, f in zip(real, fake, strict=True):
        difference = _unit(r) - _unit(f)
        total = total + ops.mean(ops.sum(ops.square(difference), axis=-1), axis=(1, 2))
    return total


def perceptual_loss(real: Sequence[Any], fake: Sequence[Any], mask: Any) -> Any:
    """Mean `perceptual_distance` over the items that are there, f32 scalar."""
    return masked_mean(perceptual_distance(real, fake), mask)


def multiresolution_loss(features: Any, rebuilt: Any, mask: Any, halvings: int = 3) -> Any:
    """L1 between log-mel spectrograms at resolutions halved by averages in time and tone.

    The finest asks for every cell, the coarser ones for energy in about the right place.

    Args:
        features, rebuilt: f32[B, frames, mels, 1].
        mask: bool[B].
        halvings: number of coarser resolutions; those smaller than one cell are left out.

    Returns:
        f32 scalar, the mean over resolutions.
    """
    error = ops.cast(features, "float32") - ops.cast(rebuilt, "float32")
    parts = [_absolute(error, mask)]
    for _ in range(halvings):
        if min(error.shape[1:3]) < 2:
            break
        error = ops.average_pool(error, 2, 2)
        parts.append(_absolute(error, mask))
    return sum(parts) / len(parts)


def _absolute(error: Any, mask: Any) -> Any:
    return masked_mean(ops.mean(ops.abs(error), axis=(1, 2, 3)), mask)


def _unit(features: Any) -> Any:
    features = ops.cast(features, "float32")
    return features * ops.rsqrt(ops.sum(ops.square(features), axis=-1, keepdims=True) + 1e-10)
