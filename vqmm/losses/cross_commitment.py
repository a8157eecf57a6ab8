"""Cross commitment: latents are pulled to the codes of their partner."""

from __future__ import annotations

from typing import Any

from keras import ops

from vqmm.losses.weighting import masked_mean


def cross_commitment_loss(audio: Any, image: Any, audio_values: Any, image_values: Any, paired: Any) -> Any:
    """Squared distance of each latent to the code of the other modality (Xia et al. 2023).

    Args:
        audio, image: f32[B, T, D], latents.
        audio_values, image_values: f32[B, T, D], the codes they chose (no gradient).
        paired: bool[B].

    Returns:
        f32 scalar, mean over elements and both directions.
    """
    to_image = ops.mean(ops.square(audio - ops.stop_gradient(image_values)), axis=(1, 2))
    to_audio = ops.mean(ops.square(image - ops.stop_gradient(audio_values)), axis=(1, 2))
    return masked_mean(0.5 * (to_image + to_audio), paired)
