"""The nearest of many vectors, without a table of all distances."""

from __future__ import annotations

from typing import Any

from keras import ops


def nearest_rows(latents: Any, table: Any, distance: str = "euclidean") -> Any:
    """Rows of `table` nearest to the latents; the first of equals.

    Args:
        latents: f32[..., D]; for `"cosine"` of unit length.
        table: f32[K, D]; the same.
        distance: `"cosine"` or `"euclidean"`.

    Returns:
        i32[...].
    """
    scores = ops.matmul(latents, ops.transpose(table))
    if distance == "euclidean":
        scores = scores - 0.5 * ops.sum(ops.square(table), axis=-1)
    return ops.cast(ops.argmax(scores, axis=-1), "int32")
