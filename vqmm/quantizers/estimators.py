"""How gradients of the chosen codes reach the latents, past a choice that has none."""

from __future__ import annotations

from typing import Any

from keras import ops

ESTIMATORS = ("straight_through", "rotation")
SHORTEST = 1e-6  # latents below it have no direction to turn


def estimate(estimator: str, latents: Any, values: Any) -> Any:
    """`straight_through` or `rotate`, by name."""
    return (rotate if estimator == "rotation" else straight_through)(latents, values)


def straight_through(latents: Any, values: Any) -> Any:
    """The values, with the gradient of the latents (Bengio et al. 2013).

    Args:
        latents, values: f32[..., D].
    """
    return latents + ops.stop_gradient(values - latents)


def rotate(latents: Any, values: Any) -> Any:
    """The values, as a fixed rotation and scaling of the latents (Fifty et al. 2024, section 4.2).

    The rotation takes each latent's direction to that of its value, so gradients are
    turned and scaled as the latent was: their angle to the value becomes their angle to
    the latent. A latent of no length has no direction and goes straight through.

    Args:
        latents, values: f32[..., D], D at least 2.
    """
    fixed = ops.stop_gradient(latents)
    values = ops.stop_gradient(values)
    length = ops.sqrt(ops.sum(ops.square(fixed), axis=-1, keepdims=True))
    reach = ops.sqrt(ops.sum(ops.square(values), axis=-1, keepdims=True))
    source = fixed / ops.maximum(length, 1e-12)
    target = values / ops.maximum(reach, 1e-12)
    between = ops.normalize(source + target, axis=-1)
    along = ops.sum(latents * between, axis=-1, keepdims=True)
    ahead = ops.sum(latents * source, axis=-1, keepdims=True)
    rotated = latents - 2.0 * along * between + 2.0 * ahead * target
    rotated = rotated * (reach / ops.maximum(length, SHORTEST))
    return ops.where(length > SHORTEST, rotated, straight_through(latents, values))
