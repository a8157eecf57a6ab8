"""Everything that `evaluation.json` says about a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqmm.config import Config
from vqmm.data.records import Dataset
from vqmm.encoding import KINDS
from vqmm.evaluation.alignment import (
    SCORERS,
    continuous_section,
    retrieval_section,
    transfer_section,
)
from vqmm.evaluation.cases import Cases
from vqmm.evaluation.codebook import codebook_section
from vqmm.evaluation.compared_figures import FORMAT_VERSION
from vqmm.evaluation.cost import cost_section
from vqmm.evaluation.extractors import SetJudge, fit_extractors
from vqmm.evaluation.generation import generation_section
from vqmm.evaluation.intervals import INTERVALS
from vqmm.evaluation.latents import latents_section
from vqmm.evaluation.material import Material, gather_material, judging_config, spec_differences
from vqmm.evaluation.reconstruction import reconstruction_section
from vqmm.metrics import Relevance, by_item, relevance
from vqmm.models import VQVAE


def evaluate(
    model: Any,
    dataset: Dataset,
    config: Config,
    split: str = "test",
    log: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Judges a model on a split: alignment, codebook, reconstruction, cost.

    Args:
        model: a `VQVAE`, `VQGAN` or `VAE`.
        dataset: prepared data, not necessarily what the model was trained on.
        config: of the run.
        split: of `dataset`.
        log: lines of the run's `metrics.jsonl`, for the cost of training.

    Returns:
        What is written as `evaluation.json`; a split of one modality has no part that asks it
        for the other. A figure is `{"value", "ci95": [low, high],
        "n"}`, with `"chance"` where guessing scores something; `ci95` is None where
        nothing was sampled, and where items are too few, which `"note"` then says. `intervals`
        says what intervals are of. The same input gives the same figures.

    Raises:
        UserError: the data does not fit the model, or the split is empty or has nothing that
            belongs together.
    """
    return judge(model, gather_material(model, dataset, config, split), dataset, config, split, log)


def judge(
    model: Any,
    material: Material,
    dataset: Dataset,
    config: Config,
    split: str,
    log: Sequence[Mapping[str, Any]] = (),
    cases: Cases | None = None,
    sets: Mapping[str, SetJudge] | None = None,
) -> dict[str, Any]:
    """`evaluate` for a split that has been gathered already; `cases` gets what single items gave.

    `sets` has judges that were named for the distances of sets, see `name_extractors`.
    """
    layout, resamples, seed = config.model.layout, config.evaluate.bootstrap, config.seed
    sides = material.sides
    figures: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "intervals": INTERVALS,
        "run": {"name": config.name, "step": int(model.step), "seed": seed, "layout": layout},
        "data": {
            "name": dataset.name,
            "checksum": dataset.checksum,
            "split": split,
            **{kind: sides[name].total if name in sides else 0 for name, kind in KINDS.items()},
            **{f"{k}_sampled": len(sides[name].inputs) if name in sides else 0 for name, k in KINDS.items()},
            "differences": spec_differences(dataset, config),
        },
    }
    codes = isinstance(model, VQVAE)
    if material.paired:
        figures |= _alignment(model, material, dataset, config, cases)
    if codes:
        ranges = dict(model.quantizer.ranges)
        figures["codebook"] = codebook_section(material, ranges, layout, resamples, seed)
    else:
        figures["latents"] = latents_section(model, material, resamples, seed)
    count = config.evaluate.generated
    extractors = fit_extractors(model, material, seed) if count else {}
    here = judging_config(dataset, config)
    figures["reconstruction"] = reconstruction_section(model, material, here, extractors, cases, sets)
    if extractors or sets:
        figures["generation"] = generation_section(
            model, material, extractors, count, resamples, seed, sets=sets
        )
    if codes:
        first, after = model.quantizer.ranges["shared"]
        each = (after - first) // config.model.quantizer.heads  # every stretch has a share of the codes
        bits = _bits(model, material, each, config.model.quantizer.private_residual)
        fine = 0 if model.fine is None else model.fine.codes
        tokens = next(iter(sides.values())).encoded.shared.shape[1]
        figures["cost"] = cost_section(log, tokens, each, bits, fine)
    else:
        figures["cost"] = cost_section(log, 0, None)
    return figures


def _bits(model: VQVAE, material: Material, shared: int, levels: int) -> dict[str, float]:
    """Bits of an item's codes by modality: each shared one of `shared`; `levels` share a private range."""
    bits = {}
    for side in (side.encoded for side in material.sides.values()):
        bits[side.modality] = side.shared.shape[1] * math.log2(shared)
        if side.private is not None:
            first, after = model.quantizer.ranges[side.modality]
            bits[side.modality] += side.private.shape[1] * math.log2((after - first) / levels)
    return bits


def _alignment(
    model: Any, material: Material, dataset: Dataset, config: Config, cases: Cases | None
) -> dict[str, Any]:
    """The sections that ask one modality for the other."""
    layout, resamples, seed = config.model.layout, config.evaluate.bootstrap, config.seed
    pair = material.sides["audio"].encoded, material.sides["image"].encoded
    wanted = relevance(*pair)
    figures: dict[str, Any] = {
        "relevance": wanted.kind,
        **({"relevance_note": wanted.note} if wanted.note else {}),
        "label_supervision": _supervision(dataset, config),
        "scorers": SCORERS[layout],
    }
    if not isinstance(model, VQVAE):
        return {**figures, "retrieval": continuous_section(material, wanted, resamples, seed, cases)}
    start, _ = model.quantizer.ranges["shared"]
    table = np.asarray(model.quantizer.table("shared"))
    fine = model.fine_tables()

    def retrieval(wanted: Relevance, cases: Cases | None = None) -> dict[str, Any]:
        return retrieval_section(material, table, start, layout, wanted, resamples, seed, fine, cases)

    figures["retrieval"] = retrieval(wanted, cases)
    if wanted.kind == "label" and _items_say_more(material):
        figures["retrieval_same_item"] = retrieval(by_item(*pair))
    transfer = transfer_section(material, len(table), start, layout, resamples, seed)
    return figures if transfer is None else {**figures, "transfer": transfer}


def _supervision(dataset: Dataset, config: Config) -> dict[str, Any]:
    by_class = config.data.pair_by == "label"
    note = (
        "Pairs were drawn by label in training: this is supervision by class."
        if by_class
        else "Pairs were drawn by item in training; labels played no part in it."
    )
    return {"trained_pairs_by": config.data.pair_by, "by_class": by_class, "note": note}


def _items_say_more(material: Material) -> bool:
    """Whether pairs are finer than labels, so that finding the very item is a question of its own."""
    audio, image = material.sides["audio"].encoded, material.sides["image"].encoded
    items = np.intersect1d(audio.items, image.items)
    return material.pair_by == "item" and len(items) > len(np.unique(image.labels))
