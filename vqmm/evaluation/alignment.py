"""Do a recording and a picture of the same thing meet? Retrieval and transfer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from vqmm.encoding import Encoded, vectors_of_codes
from vqmm.errors import UserError
from vqmm.evaluation.cases import Cases
from vqmm.evaluation.material import Material, Side
from vqmm.metrics import (
    Fine,
    Labelled,
    Ranked,
    Relevance,
    Scorer,
    bag_of_codes,
    bag_of_codes_scorer,
    code_scorer,
    code_transfer,
    cosine_scorer,
    exact_scorer,
    fit_kmeans_codes,
    judge_ranked,
    one_hot_slots,
    pooled,
    rank_gallery,
    unit,
)

DIRECTIONS = {"audio_to_image": (0, 1), "image_to_audio": (1, 0)}
KMEANS_TOKENS = 20_000  # most grid tokens that k-means is fitted to

SCORERS = {
    "slots": {
        "continuous": "mean over slots of the cosine between continuous latents",
        "code_distance": "mean over slots of the cosine between code vectors, both sides coded; "
        "with fine codes, those of all codes of an item",
        "shared_distance": "the same by shared codes alone, where there are fine ones",
        "asymmetric": "mean over slots of the cosine between query latents and gallery code vectors; "
        "with fine codes, those of all codes of an item",
        "exact": "number of slots with equal shared codes",
    },
    "grid": {
        "continuous": "cosine between mean continuous latents",
        "code_distance": "cosine between mean code vectors, both sides coded",
        "asymmetric": "cosine between the query's mean latent and the gallery's mean code vector",
        "exact": "cosine between tf-idf weighted bags of codes",
    },
}


class Coded(NamedTuple):
    """Items of one modality as a scorer sees them.

    Attributes:
        vectors: f32[n, T, D], continuous.
        codes: i[n, T], rows of a code table.
        values: f32[n, T, D], their code vectors.
        fine: fine codes with their tables; None where there are none.
    """

    vectors: np.ndarray
    codes: np.ndarray
    values: np.ndarray
    fine: Fine | None = None

    def all_values(self) -> np.ndarray:
        """f32[n, T, D]: `values`, what fine codes stand for added."""
        if self.fine is None:
            return self.values
        slots = np.arange(self.fine.codes.shape[1])
        return unit(self.values) + self.fine.tables[slots, self.fine.codes]


class _Baseline(NamedTuple):
    """Audio and image by k-means codes, and their table."""

    sides: list[Coded]
    table: np.ndarray


def make_scorers(query: Coded, gallery: Coded, table: np.ndarray, layout: str) -> dict[str, Scorer]:
    """The scorers that `SCORERS` tells for the layout, by name.

    Args:
        query, gallery: of two modalities.
        table: f32[K, D], or f32[T, K, D] for one table per slot.
        layout: `"slots"` or `"grid"`.
    """
    if layout == "slots":
        shared = code_scorer(query.values, gallery.codes, table)
        return {
            "continuous": cosine_scorer(query.vectors, gallery.vectors),
            "code_distance": code_scorer(query.all_values(), gallery.codes, table, gallery.fine),
            **({} if gallery.fine is None else {"shared_distance": shared}),
            "asymmetric": code_scorer(query.vectors, gallery.codes, table, gallery.fine),
            "exact": exact_scorer(query.codes, gallery.codes),
        }
    return {
        "continuous": cosine_scorer(pooled(query.vectors), pooled(gallery.vectors)),
        "code_distance": cosine_scorer(pooled(query.values), pooled(gallery.values)),
        "asymmetric": cosine_scorer(pooled(query.vectors), pooled(gallery.values)),
        "exact": bag_of_codes_scorer(query.codes, gallery.codes, table.shape[-2]),
    }


def continuous_scorer(query: np.ndarray, gallery: np.ndarray) -> Scorer:
    """By latents f32[N, T, D]: token by token where both sides have as many, else by their means."""
    if query.shape[1] == gallery.shape[1]:
        return cosine_scorer(query, gallery)
    return cosine_scorer(pooled(query), pooled(gallery))


def coded(encoded: Encoded, table: np.ndarray, start: int, fine: np.ndarray | None = None) -> Coded:
    """Items with codes counted from the first of the shared range, whose vectors are `table`.

    `fine`, f32[T, R, D], are the tables of their fine codes, where the model has some.
    """
    local = encoded.shared - start
    more = None if fine is None or encoded.fine is None else Fine(encoded.fine, fine)
    return Coded(vectors_of_codes(encoded, table.shape[1]), local, table[local], more)


def retrieval_section(
    material: Material,
    table: np.ndarray,
    start: int,
    layout: str,
    wanted: Relevance,
    resamples: int,
    seed: int,
    fine: np.ndarray | None = None,
    cases: Cases | None = None,
) -> dict[str, Any]:
    """`retrieval` of `evaluation.json`: both directions, all scorers, and the k-means baseline.

    Args:
        material: what is judged, of both modalities.
        table: f32[K, D], the shared range of the codebook.
        start: its first code.
        layout: `"slots"` or `"grid"`.
        wanted: what counts as found.
        resamples, seed: of the intervals (the seed also of k-means).
        fine: f32[T, R, D], tables of fine codes, where the model has some.
        cases: gets the average precision of every query, for every scorer but those of the baseline.

    Raises:
        UserError: when no recording has a picture that belongs to it.
    """
    keep, groups = _judgeable(wanted)
    sides = [
        coded(side.encoded.rows(kept), table, start, fine)
        for side, kept in zip(_both(material), keep, strict=True)
    ]
    baseline = _kmeans(material, sides, _alphabet(sides, len(table), layout), layout, seed)
    section: dict[str, Any] = {}
    for direction, (query, gallery) in DIRECTIONS.items():
        asked, answers = groups[query], groups[gallery]
        scorers = make_scorers(sides[query], sides[gallery], table, layout)
        note = _noting(cases, direction, _both(material)[query].encoded.ids[keep[query]])
        section[direction] = _judged(scorers, asked, answers, resamples, seed, note)
        if baseline is not None:
            scorers = make_scorers(baseline.sides[query], baseline.sides[gallery], baseline.table, layout)
            del scorers["continuous"]
            section[direction]["kmeans"] = _judged(scorers, asked, answers, resamples, seed)
    return section


def continuous_section(
    material: Material, wanted: Relevance, resamples: int, seed: int, cases: Cases | None = None
) -> dict[str, Any]:
    """`retrieval` of `evaluation.json` for a model without codes: by continuous vectors alone.

    Arguments and errors as for `retrieval_section`.
    """
    keep, groups = _judgeable(wanted)
    vectors = [side.encoded.embeddings[kept] for side, kept in zip(_both(material), keep, strict=True)]
    return {
        direction: _judged(
            {"continuous": continuous_scorer(vectors[query], vectors[gallery])},
            groups[query],
            groups[gallery],
            resamples,
            seed,
            _noting(cases, direction, _both(material)[query].encoded.ids[keep[query]]),
        )
        for direction, (query, gallery) in DIRECTIONS.items()
    }


def transfer_section(
    material: Material, size: int, start: int, layout: str, resamples: int, seed: int
) -> dict[str, Any] | None:
    """A linear classifier trained on one modality's codes reads the other's; None without labels.

    It is trained on the training split and tested on the split that is judged, on the items whose label
    it was trained with.
    """
    test = {name: side.encoded for name, side in material.sides.items()}
    section = {}
    for source, target in (("audio", "image"), ("image", "audio")):
        train = material.training.get(source)
        asked = (train and train.encoded, test[source], test[target])
        sides = [_labelled(side, size, start, layout) for side in asked]
        taught, within, across = sides
        if taught is None or within is None or across is None or len(np.unique(taught.labels)) < 2:
            return None
        within, across = (_of_labels(side, taught.labels) for side in (within, across))
        if not (len(within.labels) and len(across.labels)):
            return None
        found = code_transfer(taught, within, across, resamples, seed)
        section[f"{source}_to_{target}"] = {
            name: figure.to_json() for name, figure in found._asdict().items()
        }
    return section


def _both(material: Material) -> tuple[Side, Side]:
    return material.sides["audio"], material.sides["image"]


def _judgeable(wanted: Relevance) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Which items can be judged, and their groups; recordings first."""
    keep = (wanted.audio >= 0, wanted.image >= 0)
    groups = (wanted.audio[keep[0]], wanted.image[keep[1]])
    if not np.intersect1d(*groups).size:
        raise UserError(
            f"no recording and picture here have the same {wanted.kind}, so that none can be found; "
            "give the manifest's rows labels, or both files in one row"
        )
    return keep, groups


def _judged(
    scorers: dict[str, Scorer],
    asked: np.ndarray,
    answers: np.ndarray,
    resamples: int,
    seed: int,
    note: Callable[[str, Ranked], None] | None = None,
) -> dict[str, Any]:
    found = {}
    for name, scorer in scorers.items():
        ranked = rank_gallery(scorer, asked, answers)
        if note is not None:
            note(name, ranked)
        found[name] = judge_ranked(ranked, resamples, seed).to_json()
    return found


def _noting(cases: Cases | None, direction: str, ids: np.ndarray) -> Callable[[str, Ranked], None]:
    """What keeps the average precision of every query under its scorer's name."""
    kept = Cases() if cases is None else cases

    def note(name: str, ranked: Ranked) -> None:
        kept.note(f"retrieval.{direction}.{name}.map", ids[ranked.rows], ranked.figures.map)

    return note


def _labelled(encoded: Encoded | None, size: int, start: int, layout: str) -> Labelled | None:
    if encoded is None or not (encoded.labels >= 0).any():
        return None
    known = encoded.labels >= 0
    local = encoded.shared[known] - start
    features = one_hot_slots(local, size) if layout == "slots" else bag_of_codes(local, size)
    return Labelled(features, encoded.labels[known])


def _of_labels(items: Labelled, labels: np.ndarray) -> Labelled:
    known = np.isin(items.labels, labels)
    return Labelled(items.features[known], items.labels[known])


def _alphabet(sides: list[Coded], size: int, layout: str) -> int:
    """Codes that k-means may have: those in use at a slot, on average, so that it is told what was found."""
    if layout != "slots":
        return size
    codes = np.concatenate([side.codes for side in sides])
    return round(float(np.mean([len(np.unique(slot)) for slot in codes.T])))


def _kmeans(material: Material, sides: list[Coded], size: int, layout: str, seed: int) -> _Baseline | None:
    if len(material.training) < len(material.sides):
        return None
    latents = [material.training[name].encoded.embeddings for name in ("audio", "image")]
    if layout == "slots":
        book = fit_kmeans_codes(np.concatenate(latents), size, seed)
        codes = [book.encode(side.vectors) for side in sides]
        values = [book.values(c) for c in codes]
        table = book.tables
    else:
        tokens = np.concatenate([x.reshape(-1, 1, x.shape[-1]) for x in latents])
        tokens = tokens[np.random.default_rng(seed).permutation(len(tokens))[:KMEANS_TOKENS]]
        book = fit_kmeans_codes(tokens, size, seed)
        dim = tokens.shape[-1]
        codes = [book.encode(s.vectors.reshape(-1, 1, dim)).reshape(s.codes.shape) for s in sides]
        table = book.tables[0]
        values = [table[c] for c in codes]
    coded_sides = [Coded(s.vectors, c, v) for s, c, v in zip(sides, codes, values, strict=True)]
    return _Baseline(coded_sides, table)
