"""Ranked items for a query that an exported model encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from vqmm.data.shards import OTHER
from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.hit_rows import hit_rows
from vqmm.retrieval.question import (
    Checked,
    Question,
    answer,
    check_question,
    parse_where,
    values_of_codes,
)
from vqmm.serving.refused import Refused

Condition = Annotated[str, Field(max_length=1000)]
Count = Annotated[int, Field(lt=2**31)]


class SearchOptions(BaseModel):
    """How to search: the options of `vqmm query`.

    Attributes:
        k: hits; None: 10, or all where there are fewer.
        modality: what to find; None: the other one.
        query: what to ask with.
        where: conditions, each `KEY=VALUE`; of several values for one key any will do.
        rerank: score so many first hits anew by continuous vectors.
        probes: lists to scan.
    """

    model_config = ConfigDict(extra="forbid")

    k: Count | None = Field(default=None, ge=1, description="items; default 10, or all if fewer")
    modality: Literal["audio", "image", "any"] | None = Field(
        default=None, description="what to find; default: the other one"
    )
    query: Literal["continuous", "codes", "expanded"] = Field(
        default="continuous",
        description="ask with the latents, with their codes as an item has them, or with codes near them",
    )
    where: list[Condition] = Field(
        default=[],
        max_length=100,
        description="KEY=VALUE: only items whose column is this; of several values for one key any will do",
    )
    rerank: Count = Field(
        default=0, ge=0, description="score the first so many hits anew by continuous vectors, if indexed"
    )
    probes: Count | None = Field(default=None, ge=1, description="lists to scan, of an index that has some")


def checked(index: FaissIndex, options: SearchOptions, asked: str, most: int) -> Checked:
    """The question of a request, if the index can answer it.

    Args:
        index: of the model's codebook.
        options: of the request.
        asked: what the body is.
        most: items that may be asked for or scored anew.

    Raises:
        Refused: 400, with what came and what is legal, as `vqmm query` says it.
    """
    for name, count in (("k", options.k), ("rerank", options.rerank)):
        if count is not None and count > most:
            raise Refused(400, f"{name}={count}; {most} is the most that this service takes")
    wanted = options.modality or OTHER[asked]
    try:
        where = parse_where(options.where)
        question = Question(wanted, options.k, where, options.rerank, options.probes)
        return check_question(index, question)
    except UserError as error:
        raise Refused(400, str(error)) from None


def signature_of(options: SearchOptions, asked: str) -> str:
    """Which signature makes the query: latents, or codes."""
    return f"{'embed' if options.query == 'continuous' else 'encode'}_{asked}"


def ranked(
    index: FaissIndex, found: Mapping[str, npt.NDArray[Any]], options: SearchOptions, question: Checked
) -> list[dict[str, Any]]:
    """The items that fit best, as `hit_rows` tells them: what `vqmm query` finds.

    Args:
        index: of the model's codebook.
        found: what the signature gave, one row.
        options: of the request.
        question: by `checked`.

    Raises:
        Refused: 422, latents that are not finite.
    """
    if options.query == "continuous":
        values = _by_slot(found["embedding"][0], index.slots, index.dim)[None]
    else:
        codes = found["shared"].reshape(1, index.slots) - index.first
        values = values_of_codes(codes, index.codebook, options.query)
    try:
        hits = answer(index, values, question)
    except UserError as error:
        raise Refused(422, str(error)) from None
    return hit_rows(hits.items[0], hits.scores[0].tolist())


def _by_slot(embedding: npt.NDArray[np.float32], slots: int, dim: int) -> npt.NDArray[np.float32]:
    """f32[slots, dim]; see `vqmm.encoding.vectors_of_codes`."""
    if embedding.shape[1] != dim:
        return embedding.reshape(slots, dim)
    return np.repeat(embedding, slots // len(embedding), axis=0)
