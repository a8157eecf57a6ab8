"""Hits as programs and people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vqmm.retrieval.protocol import Item
from vqmm.retrieval.ranks import shared_ranks


def hit_rows(items: Sequence[Item], scores: Sequence[float]) -> list[dict[str, Any]]:
    """The hits of one query, best first.

    Returns:
        For each: `rank` from 1, which equal scores share, `id`, `modality`, `split`, `label` (""
        where unknown), `score`, and what other columns of the manifest say.
    """
    rows = []
    for rank, item, score in zip(shared_ranks(scores), items, scores, strict=True):
        row: dict[str, Any] = {"rank": rank, "id": item.id, "modality": item.modality, "split": item.split}
        row |= {"label": item.metadata.get("label", ""), "score": round(score, 6)}
        row |= {name: value for name, value in item.metadata.items() if name not in row and value}
        rows.append(row)
    return rows
