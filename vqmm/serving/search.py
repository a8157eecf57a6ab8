"""Ranked items for a query that an exported model encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.hit_rows import hit_rows
from vqmm.serving.refused import Refused

KINDS = {"audio": "recordings", "image": "pictures", "any": "items"}


def ranked(
    index: FaissIndex, embedding: npt.NDArray[np.float32], k: int | None, wanted: str
) -> list[dict[str, Any]]:
    """The k items that fit best, as `hit_rows` tells them: what `pipelines.query` finds.

    Args:
        index: of the model's codebook.
        embedding: f32[T, E] of the query.
        k: None takes 10, or all where there are fewer.
        wanted: `"audio"`, `"image"` or `"any"`.

    Raises:
        Refused: 422, more than there are.
    """
    found = None if wanted == "any" else wanted
    held = index.count(found)
    if not held:
        raise Refused(422, f"the index holds no {KINDS[wanted]}; set modality to another")
    k = k or min(10, held)
    if k > held:
        raise Refused(422, f"k={k}: the index holds {held} {KINDS[wanted]}; ask for {held} or fewer")
    try:
        hits = index.search(_by_slot(embedding, index.slots, index.dim)[None], k, found)
    except UserError as error:
        raise Refused(422, str(error)) from None
    return hit_rows(hits.items[0], hits.scores[0].tolist())


def _by_slot(embedding: npt.NDArray[np.float32], slots: int, dim: int) -> npt.NDArray[np.float32]:
    """f32[slots, dim]; see `vqmm.encoding.vectors_of_codes`."""
    if embedding.shape[1] != dim:
        return embedding.reshape(slots, dim)
    return np.repeat(embedding, slots // len(embedding), axis=0)
