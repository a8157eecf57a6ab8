"""Soft queries from codes alone: each slot asks for its code and for the codes near it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vqmm.errors import UserError


def expanded(
    codes: Any, table: npt.NDArray[np.float32], neighbours: int = 8, temperature: float = 0.1
) -> npt.NDArray[np.float32]:
    """Spreads each slot over the codes nearest to its own.

    The weights of a slot are the softmax, over the `neighbours` codes with the highest
    cosine c to its code, of c / temperature; its query is the mean of their vectors by
    these weights, scaled to unit length. An item whose code lies among others near the
    query's so gains on one whose code lies alone.

    Args:
        codes: integer [n, slots], rows of `table`.
        table: f32[K, dim], of unit length.
        neighbours: codes that a slot is spread over, its own among them; at most K count.
        temperature: cosine that makes a neighbour e times less worth; near 0 the code alone counts.

    Returns:
        f32[n, slots, dim].

    Raises:
        UserError: neighbours below 1, or a temperature that is not above 0.
    """
    if neighbours < 1 or not temperature > 0:
        raise UserError(f"neighbours={neighbours}, temperature={temperature}; 1 or more, above 0")
    used, inverse = np.unique(np.asarray(codes), return_inverse=True)
    near = table[used] @ table.T
    kept = np.argpartition(-near, min(neighbours, len(table)) - 1, axis=1)[:, :neighbours]
    cosines = np.take_along_axis(near, kept, axis=1)
    weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / temperature)
    mixed = np.einsum("un,und->ud", weights, table[kept])
    mixed /= np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)
    return mixed[inverse].reshape(*np.shape(codes), -1).astype(np.float32)
