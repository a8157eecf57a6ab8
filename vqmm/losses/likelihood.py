"""Cross-entropy of pictures under a distribution over 256 levels."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from vqmm.losses.weighting import masked_mean
from vqmm.networks.outputs import LEVELS, Mixture, level_logits, mixture


def likelihood_loss(pictures: Any, parameters: Any, mask: Any, output: str) -> Any:
    """Negative log-likelihood in nats a sample (a channel of a pixel).

    Args:
        pictures: f32[B, H, W, C] in 0..1, taken to the nearest of 256 levels.
        parameters: f32[B, H, W, P], what the decoder says, see `vqmm.networks.outputs`.
        mask: bool[B], False where the picture is missing.
        output: `"categorical"`: a softmax over the levels (van den Oord et al. 2016);
            `"logistic"`: a mixture of logistic distributions cut into the levels (Salimans et
            al. 2017, equation 2), every channel on its own.

    Returns:
        f32 scalar.
    """
    pictures = ops.clip(ops.cast(pictures, "float32"), 0.0, 1.0)
    levels = ops.round(pictures * (LEVELS - 1.0))
    if output == "categorical":
        logs = ops.log_softmax(ops.cast(level_logits(parameters), "float32"), axis=-1)
        at = ops.cast(levels, "int32")[..., None]
        nats = -ops.take_along_axis(logs, at, axis=-1)[..., 0]
    else:
        nats = _mixture_nats(levels, mixture(ops.cast(parameters, "float32")))
    return masked_mean(ops.mean(nats, axis=(1, 2, 3)), mask)


def _mixture_nats(levels: Any, found: Mixture) -> Any:
    half = 0.5 / (LEVELS - 1.0)
    centred = levels[..., None] / (LEVELS - 1.0) - found.means
    inverse = ops.exp(-found.log_scales)
    above, below = inverse * (centred + half), inverse * (centred - half)
    # Of the whole line: the ends take the tails. Logs of sigmoids do not run out of range.
    low = -ops.softplus(-above)
    high = -ops.softplus(below)
    mass = ops.sigmoid(above) - ops.sigmoid(below)
    # Far out the mass is lost in rounding: there it is the density times the width.
    middle = inverse * centred
    density = middle - found.log_scales - 2.0 * ops.softplus(middle) + math.log(2.0 * half)
    between = ops.where(mass > 1e-5, ops.log(ops.maximum(mass, 1e-12)), density)
    at = levels[..., None]
    each = ops.where(at < 0.5, low, ops.where(at > LEVELS - 1.5, high, between))
    return -ops.logsumexp(ops.log_softmax(found.logits, axis=-1) + each, axis=-1)
