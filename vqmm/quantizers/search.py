"""The nearest of many vectors, without a table of all distances."""

from __future__ import annotations

from typing import Any

from keras import ops

BLOCK_SCORES = 2**21  # scores that exist at one time: 8 MiB, about what a core's caches hold


def nearest_rows(latents: Any, table: Any, distance: str = "euclidean") -> Any:
    """Rows of `table` nearest to the latents; the first of equals.

    Memory is that of the arguments and `BLOCK_SCORES`, whatever the number of latents
    times rows. No gradient passes.

    Args:
        latents: f32[..., D]; for `"cosine"` of unit length.
        table: f32[K, D]; the same.
        distance: `"cosine"` or `"euclidean"`.

    Returns:
        i32[...].
    """
    latents, table = ops.stop_gradient(latents), ops.stop_gradient(table)
    size, dim = table.shape
    flat = ops.reshape(latents, (-1, dim))
    if distance == "euclidean":  # as one more axis, so that scores are written once
        half = 0.5 * ops.sum(ops.square(table), axis=-1, keepdims=True)
        table = ops.concatenate([table, -half], axis=-1)
        flat = ops.concatenate([flat, ops.ones_like(flat[:, :1])], axis=-1)
    turned = ops.transpose(table)

    def rows(block: Any) -> Any:
        return ops.cast(ops.argmax(ops.matmul(block, turned), axis=-1), "int32")

    block = max(BLOCK_SCORES // size, 1)
    count = flat.shape[0]
    if count is not None and count <= block:
        return ops.reshape(rows(flat), ops.shape(latents)[:-1])
    count = ops.shape(flat)[0]
    blocks = (count + block - 1) // block
    padded = ops.concatenate([flat, ops.zeros((blocks * block - count, flat.shape[1]))])
    found = ops.map(rows, ops.reshape(padded, (blocks, block, flat.shape[1])))
    return ops.reshape(ops.reshape(found, (-1,))[:count], ops.shape(latents)[:-1])
