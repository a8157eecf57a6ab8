"""Terms of the evidence lower bound with Gaussian posteriors."""

from __future__ import annotations

from typing import Any

from keras import ops

from vqmm.losses.weighting import masked_mean
from vqmm.replicas import sum_over_replicas


def gaussian_kl(mean: Any, log_variance: Any) -> Any:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1), elementwise, in nats.

    Kingma and Welling 2014, appendix B.
    """
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)


def kl_loss(mean: Any, log_variance: Any, mask: Any, free_bits: float = 0.0) -> Any:
    """KL divergence of an item's posterior from the prior, in nats, summed over its latents.

    Args:
        mean, log_variance: f32[B, T, D].
        mask: bool[B], False where the item is missing.
        free_bits: nats that each latent may carry without cost: its mean over the batch
            counts as at least that (Kingma et al. 2016, section 2.4).

    Returns:
        f32 scalar.
    """
    each = gaussian_kl(mean, log_variance)
    if not free_bits:
        return masked_mean(ops.sum(each, axis=(1, 2)), mask)
    present = ops.cast(mask, "float32")[:, None, None]
    total, count = sum_over_replicas([ops.sum(each * present, axis=0), ops.sum(present)])
    over_batch = total / ops.maximum(count, 1.0)
    return ops.sum(ops.maximum(over_batch, free_bits))
