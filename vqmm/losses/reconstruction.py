"""How far a rebuilt item is from the original."""

from __future__ import annotations

from typing import Any

from keras import ops

from vqmm.losses.weighting import masked_mean


def reconstruction_loss(features: Any, rebuilt: Any, mask: Any) -> Any:
    """Mean absolute plus mean squared error.

    Args:
        features, rebuilt: f32[B, H, W, C].
        mask: bool[B], False where the modality is missing.

    Returns:
        f32 scalar.
    """
    error = ops.cast(features, "float32") - ops.cast(rebuilt, "float32")
    return masked_mean(ops.mean(ops.abs(error) + ops.square(error), axis=(1, 2, 3)), mask)
