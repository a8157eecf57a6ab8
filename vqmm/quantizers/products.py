"""Products of vectors that are exact to float32, also on hardware that would compute them in TF32."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

SPLIT = 2.0**13 + 1.0  # leaves the 11 leading bits, which TF32 keeps


def exact_matmul(a: Any, b: Any) -> Any:
    """Multiplies f32 matrices with the precision of float32.

    TensorFlow computes float32 products on NVIDIA cards in TF32 unless a switch of the whole
    process says otherwise, and JAX does by default. TF32 keeps 11 bits of each factor, so that a
    distance to a code is off by 1e-3 and another code is the nearest. JAX is asked for its highest
    precision. For TensorFlow each factor is the sum of two that TF32 holds; three products of these
    give the result. Where no card is in use, the product is the plain one.

    Args:
        a: f32[..., n, m].
        b: f32[..., m, k].

    Returns:
        f32[..., n, k]; gradients are those of the plain product.
    """
    if keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            return ops.matmul(a, b)
    plain = ops.matmul(a, b)
    if not _rounds_factors():
        return plain
    (a, a_rest), (b, b_rest) = _split(ops.stop_gradient(a)), _split(ops.stop_gradient(b))
    exact = ops.matmul(a, b) + (ops.matmul(a, b_rest) + ops.matmul(a_rest, b))
    return plain + (exact - ops.stop_gradient(plain))


def _split(x: Any) -> tuple[Any, Any]:
    """Two parts whose sum is x, and of which the first has 11 bits (Veltkamp 1968, Dekker 1971)."""
    scaled = x * SPLIT
    high = scaled - (scaled - x)
    return high, x - high


def _rounds_factors() -> bool:
    """Returns whether this process may compute float32 products in TF32."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    enabled: bool = tf.config.experimental.tensor_float_32_execution_enabled()
    return enabled and bool(tf.config.get_visible_devices("GPU"))
