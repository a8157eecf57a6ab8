"""What discriminator and generator want of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from vqmm.config import Adversarial
from vqmm.losses.weighting import masked_mean

DEFAULTS = Adversarial()

KINDS = ("hinge", "nonsaturating")


def discriminator_loss(real: Sequence[Any], fake: Sequence[Any], mask: Any, kind: str = DEFAULTS.kind) -> Any:
    """Loss of the discriminator, half of its part for real and half for fake items.

    Args:
        real, fake: logits f32[B, h, w, 1] by scale.
        mask: bool[B], False where the item is missing.
        kind: `"hinge"` (Lim and Ye 2017): relu(1 - real) and relu(1 + fake);
            `"nonsaturating"` (Goodfellow et al. 2014): softplus(-real) and softplus(fake).

    Returns:
        f32 scalar, mean over patches, items and scales.
    """
    _check(kind)
    if kind == "hinge":
        right, wrong = (lambda x: ops.relu(1.0 - x)), (lambda x: ops.relu(1.0 + x))
    else:
        right, wrong = (lambda x: ops.softplus(-x)), ops.softplus
    parts = [_mean(right(r), mask) + _mean(wrong(f), mask) for r, f in zip(real, fake, strict=True)]
    return 0.5 * sum(parts) / len(parts)


def generator_loss(fake: Sequence[Any], mask: Any, kind: str = DEFAULTS.kind) -> Any:
    """Loss of the generator: -fake for `"hinge"`, softplus(-fake) for `"nonsaturating"`; f32 scalar."""
    _check(kind)
    parts = [_mean(-x if kind == "hinge" else ops.softplus(-x), mask) for x in fake]
    return sum(parts) / len(parts)


def feature_matching_loss(real: Sequence[Any], fake: Sequence[Any], mask: Any) -> Any:
    """Mean absolute difference of the discriminator's features (Larsen et al. 2016), mean over layers.

    Args:
        real, fake: features f32[B, H, W, C] by layer; no gradient reaches `real`.
        mask: bool[B].
    """
    parts = [
        _mean(ops.abs(ops.cast(ops.stop_gradient(r), "float32") - ops.cast(f, "float32")), mask)
        for r, f in zip(real, fake, strict=True)
    ]
    return sum(parts) / len(parts)


def lecam_loss(real: Sequence[Any], fake: Sequence[Any], mask: Any, mean_real: Any, mean_fake: Any) -> Any:
    """LeCam regularisation (Tseng et al. 2021, equation 6): logits stay near the other side's mean.

    Args:
        real, fake: logits by scale.
        mask: bool[B].
        mean_real, mean_fake: moving averages of the logits, f32 scalars.
    """
    parts = [
        _mean(ops.square(r - mean_fake), mask) + _mean(ops.square(f - mean_real), mask)
        for r, f in zip(real, fake, strict=True)
    ]
    return sum(parts) / len(parts)


def adaptive_weight(near: Any, adversarial: Any, most: float = DEFAULTS.most) -> Any:
    """Weight at which the adversarial gradient is as long as that of the reconstruction.

    Esser et al. 2021, equation 7, with their 1e-4 against division by zero.

    Args:
        near, adversarial: norms of both losses' gradients at the decoder's last kernel.
        most: largest weight.

    Returns:
        f32 scalar without gradient.
    """
    return ops.stop_gradient(ops.clip(near / (adversarial + 1e-4), 0.0, most))


def discriminator_accuracy(real: Sequence[Any], fake: Sequence[Any], mask: Any) -> Any:
    """Share of patches told rightly, real above and fake below 0; 0.5 is guessing. f32 scalar."""
    parts = [
        0.5 * _mean(ops.cast(r > 0, "float32"), mask) + 0.5 * _mean(ops.cast(f < 0, "float32"), mask)
        for r, f in zip(real, fake, strict=True)
    ]
    return sum(parts) / len(parts)


def mean_logit(logits: Sequence[Any], mask: Any) -> Any:
    """Mean over patches, items and scales, f32 scalar."""
    return sum(_mean(x, mask) for x in logits) / len(logits)


def _mean(values: Any, mask: Any) -> Any:
    return masked_mean(ops.mean(values, axis=(1, 2, 3)), mask)


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}; legal: {', '.join(KINDS)}")
