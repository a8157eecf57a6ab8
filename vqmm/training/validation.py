"""Figures of a model on held-out pairs, fast enough to take every few hundred steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vqmm.metrics import Scorer, code_scorer, cosine_scorer, pooled, rank_gallery, relevance
from vqmm.models import VQVAE, Adversary

MOST_PAIRS = 512
OVER_ALL_ITEMS = ("commitment", "codebook", "entropy")  # of both modalities; other terms are over pairs


class _Items(NamedTuple):
    """Items of one modality: where they first stand among the pairs, and what they belong to, i64[n]."""

    rows: np.ndarray
    items: np.ndarray
    labels: np.ndarray


class Validation:
    """Measures one model on the same pairs every time.

    Args:
        model: that is trained.
        batches: batch dicts of `paired_evaluation_batches`; the first `MOST_PAIRS` rows are kept in memory.

    Attributes:
        batches: what is kept, as dicts of arrays.
    """

    def __init__(self, model: Any, batches: Iterable[Mapping[str, Any]]):
        self.model = model
        self.batches: list[dict[str, np.ndarray]] = []
        left = MOST_PAIRS
        for batch in batches:
            arrays = {name: np.asarray(value)[:left] for name, value in batch.items()}
            self.batches.append(arrays)
            left -= len(arrays["audio"])
            if left <= 0:
                break

        coded = isinstance(model, VQVAE)

        @tf.function(reduce_retracing=True, autograph=False)
        def judge(batch: Mapping[str, Any]) -> Any:
            given = {name: {name: batch[name]} for name in ("audio", "image")}
            if coded:
                found = {name: tuple(model.encode(**item)) for name, item in given.items()}
            else:
                found = {name: (model.embed(**item),) for name, item in given.items()}
            outputs = model(batch, training=False)
            return model.compute_losses(batch, outputs), model.figures(batch, outputs), found

        self._judge = judge
        self._coded = coded

    def __len__(self) -> int:
        return sum(len(batch["audio"]) for batch in self.batches)

    def figures(self) -> dict[str, float]:
        """Judges the model as it is now, with averaged weights where the finished model has them.

        Returns:
            The means of the loss terms and figures that `model.test_step` returns, over the items
            that each is a mean of, and `loss`, the sum of the terms; `retrieval_map`, the mean
            over both directions of the mean average precision by code distance (by
            cosine where the model has no codes), of each item once and by the `relevance` of
            `evaluate`; and `usage_RANGE`, the share of a range's
            codes that came up.
        """
        averaged = self.model.averages_in_place() if isinstance(self.model, Adversary) else nullcontext()
        with averaged:
            return self._figures()

    def _figures(self) -> dict[str, float]:
        means: dict[str, list[tuple[float, int]]] = {}
        parts_of_loss: list[str] = []
        shared: dict[str, list[np.ndarray]] = {"audio": [], "image": []}
        used: set[int] = set()
        for batch in self.batches:
            numbers = {k: tf.convert_to_tensor(v) for k, v in batch.items() if v.dtype != object}
            terms, more, codes = self._judge(numbers)
            parts_of_loss = list(terms)
            for name, value in {**terms, **more}.items():
                means.setdefault(name, []).append((float(value), _items_behind(name, batch)))
            for name, parts in codes.items():
                shared[name].append(np.asarray(parts[0]))
                for part in parts if self._coded else ():
                    if part is not None:
                        used.update(np.unique(np.asarray(part)[batch[f"{name}_mask"]]).tolist())
        averaged = {name: _weighted_mean(parts) for name, parts in means.items()}
        found = {"loss": sum(averaged[name] for name in parts_of_loss), **averaged}
        retrieval = self._retrieval({k: np.concatenate(v) for k, v in shared.items()})
        if retrieval is not None:
            found["retrieval_map"] = retrieval
        for name, (start, stop) in self.model.quantizer.ranges.items() if self._coded else ():
            found[f"usage_{name}"] = sum(start <= code < stop for code in used) / (stop - start)
        return found

    def _retrieval(self, codes: dict[str, np.ndarray]) -> float | None:
        """As `evaluate` counts, each item once; None where no recording has a picture that belongs to it."""
        held = {name: self._items(name) for name in codes}
        wanted = relevance(held["audio"], held["image"])
        if not wanted.covered:
            return None
        groups = {"audio": wanted.audio, "image": wanted.image}
        vectors = {name: codes[name][held[name].rows][groups[name] >= 0] for name in codes}
        groups = {name: found[found >= 0] for name, found in groups.items()}
        found = []
        for query, gallery in itertools.permutations(codes):
            sides = vectors[query], vectors[gallery]
            scorer = self._by_codes(*sides) if self._coded else _by_cosine(*sides)
            found.append(rank_gallery(scorer, groups[query], groups[gallery]).figures.map.mean())
        return float(np.mean(found))

    def _by_codes(self, queries: np.ndarray, gallery: np.ndarray) -> Scorer:
        table = np.asarray(self.model.quantizer.table("shared"))
        first, _ = self.model.quantizer.range_of("shared")
        if queries.shape[1] == gallery.shape[1]:
            return code_scorer(table[queries - first], gallery - first, table)
        return _by_cosine(table[queries - first], table[gallery - first])

    def _items(self, modality: str) -> _Items:
        """The recordings or pictures of the pairs, each once, however many pairs it is in."""
        records, first = np.unique(self._column(f"{modality}_row"), return_index=True)
        rows = np.sort(first[records >= 0])
        return _Items(rows, *(self._column(f"{modality}_{name}")[rows] for name in ("item", "label")))

    def _column(self, name: str) -> np.ndarray:
        return np.concatenate([batch[name] for batch in self.batches])


def _items_behind(name: str, batch: Mapping[str, np.ndarray]) -> int:
    """How many items of a batch a term or figure is the mean of."""
    for modality in ("audio", "image"):
        if name.endswith(f"_{modality}"):
            return int(batch[f"{modality}_mask"].sum())
    if name in OVER_ALL_ITEMS:
        return len(batch["audio_mask"])
    return int((batch["audio_mask"] & batch["image_mask"]).sum())


def _weighted_mean(parts: list[tuple[float, int]]) -> float:
    """The mean of batches' means, each by its number of items; 0 of none, as the terms have it."""
    count = sum(items for _, items in parts)
    return sum(value * items for value, items in parts) / count if count else 0.0


def _by_cosine(queries: np.ndarray, gallery: np.ndarray) -> Scorer:
    if queries.shape[1] == gallery.shape[1]:
        return cosine_scorer(queries, gallery)
    return cosine_scorer(pooled(queries), pooled(gallery))
