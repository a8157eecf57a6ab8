"""What is asked of an index, checked alike for the command line and for the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.errors import UserError
from vqmm.retrieval.faiss_index import FaissIndex
from vqmm.retrieval.protocol import Hits, Where
from vqmm.retrieval.query_expansion import expanded

Wanted = Literal["audio", "image", "any"]
QUERIES = ("continuous", "codes", "expanded")
USUAL = 10  # hits, where the question names no number
KINDS = {"audio": "recordings", "image": "pictures", "any": "items"}


class Question(NamedTuple):
    """How to search.

    Attributes:
        wanted: what to find.
        k: hits; None: 10, or all that there are where these are fewer.
        where: conditions that the items meet.
        rerank: score so many first hits anew by continuous vectors.
        probes: lists to scan; None: as the index has it.
    """

    wanted: Wanted
    k: int | None = None
    where: Where = {}
    rerank: int = 0
    probes: int | None = None

    @property
    def modality(self) -> str | None:
        """What to find, as an index has it."""
        return None if self.wanted == "any" else self.wanted


class Checked(NamedTuple):
    """A question that the index can answer: with `k` hits, `reranked` of them scored anew."""

    question: Question
    k: int
    reranked: int


def parse_where(texts: Sequence[str]) -> dict[str, list[str]]:
    """Parses `KEY=VALUE`; the values of one key are kept together.

    Raises:
        UserError: something without a key or an equals sign.
    """
    where: dict[str, list[str]] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not key or not sign:
            raise UserError(f"where {text!r}: write KEY=VALUE, as label=7")
        where.setdefault(key, []).append(value)
    return where


def check_question(index: FaissIndex, question: Question) -> Checked:
    """Whether an index can answer, before anything is encoded.

    Raises:
        UserError: no such items or fewer than k, a column that the items do not have,
            probes without lists, or re-ranking without vectors.
    """
    wanted, k, where, rerank, probes = question
    if probes is not None and not index.lists:
        raise UserError(f"probes={probes}: the index has no lists; index --lists N makes some")
    if rerank and not index.holds_vectors:
        raise UserError(f"rerank={rerank}: the index holds no vectors; index --vectors keeps them")
    held = index.count(question.modality, where)
    such = f"{KINDS[wanted]}{' that meet the conditions' if where else ''}"
    if not held:
        raise UserError(f"the index holds no {such}; index data that has some, or set modality or where")
    k = min(USUAL, held) if k is None else k
    if not 1 <= k <= held:
        raise UserError(f"k={k}: the index holds {held} {such}; ask for 1 to {held}")
    return Checked(question, k, min(max(k, rerank), held) if rerank else 0)


def answer(index: FaissIndex, values: npt.NDArray[np.float32], checked: Checked) -> Hits:
    """The items that fit best.

    Args:
        index: that the question was checked with.
        values: f32[q, slots, dim].
        checked: by `check_question`.
    """
    question = checked.question
    return index.search(
        values, checked.k, question.modality, question.where, question.rerank, probes=question.probes
    )


def values_of_codes(codes: Any, table: npt.NDArray[np.float32], query: str) -> npt.NDArray[np.float32]:
    """Vectors to search with, of codes.

    Args:
        codes: integer [n, slots], rows of `table`.
        table: f32[K, dim], the codebook of an index.
        query: `"codes"` or `"expanded"`.
    """
    return table[codes] if query == "codes" else expanded(codes, table)
