"""The nearest of many vectors, without a table of all distances."""

from __future__ import annotations

from typing import Any

from keras import ops

from vqmm.quantizers.products import exact_matmul

BLOCK_SCORES = 2**22  # scores that exist at one time: 16 MiB, about what stays in caches
GROUP = 256  # most scores that an argmax runs over


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
        return _argmax(exact_matmul(block, turned))

    block = max(BLOCK_SCORES // size, 1)
    count = flat.shape[0]
    # JAX's symbolic sizes, by which Keras infers shapes, cannot be compared: their rows are taken at once.
    is_symbolic = count is not None and not isinstance(count, int)
    if is_symbolic or (count is not None and count <= block):
        return ops.reshape(rows(flat), ops.shape(latents)[:-1])
    if count is None:  # known when it runs: a few latents must not fill a whole block
        count = ops.shape(flat)[0]
        block = ops.maximum(ops.minimum(count, block), 1)
        blocks = ops.maximum((count + block - 1) // block, 1)
    else:
        blocks = (count + block - 1) // block
    padded = ops.concatenate([flat, ops.zeros((blocks * block - count, flat.shape[1]))])
    found = ops.map(rows, ops.reshape(padded, (blocks, block, flat.shape[1])))
    return ops.reshape(ops.reshape(found, (-1,))[:count], ops.shape(latents)[:-1])


def _argmax(scores: Any) -> Any:
    """Column i32[n] of the largest of scores f32[n, K], the first of equals.

    The maximum of every group of columns comes first, the place within the best group after:
    a maximum runs through vector instructions, an argmax one by one.
    """
    size = scores.shape[1]
    group = next((g for g in range(GROUP, 15, -1) if size % g == 0), 0)
    if size <= GROUP or not group:
        return _first(scores)
    groups = ops.reshape(scores, (-1, size // group, group))
    best = _first(ops.max(groups, axis=-1))
    count = ops.shape(scores)[0]
    row = ops.arange(count, dtype="int32") * (size // group) + best
    won = ops.take(ops.reshape(groups, (-1, group)), row, axis=0)
    return best * group + _first(won)


def _first(scores: Any) -> Any:
    """Column i32[n] of the largest, the first of equals.

    `ops.argmax` tells -0 from 0 by bits, which takes most of its time and which LiteRT cannot do.
    """
    return ops.cast(ops.top_k(scores, 1)[1][..., 0], "int32")
