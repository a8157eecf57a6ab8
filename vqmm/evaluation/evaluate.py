"""Everything that `evaluation.json` says about a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqmm.config import Config
from vqmm.data.records import Dataset
from vqmm.evaluation.alignment import SCORERS, by_item, relevance, retrieval_section, transfer_section
from vqmm.evaluation.codebook import codebook_section
from vqmm.evaluation.cost import cost_section
from vqmm.evaluation.material import Material, gather_material, judging_config, spec_differences
from vqmm.evaluation.reconstruction import reconstruction_section

FORMAT_VERSION = 1


def evaluate(
    model: Any,
    dataset: Dataset,
    config: Config,
    split: str = "test",
    log: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Judges a model on a split: alignment, codebook, reconstruction, cost.

    Args:
        model: a `VQVAE`.
        dataset: prepared data, not necessarily what the model was trained on.
        config: of the run.
        split: of `dataset`.
        log: lines of the run's `metrics.jsonl`, for the cost of training.

    Returns:
        What is written as `evaluation.json`. A figure is `{"value", "ci95": [low, high],
        "n"}`, with `"chance"` where guessing scores something; `ci95` is None where
        nothing was sampled. The same input gives the same figures.

    Raises:
        UserError: the data does not fit the model, the split lacks a modality or has
            nothing that belongs together.
    """
    return judge(model, gather_material(model, dataset, config, split), dataset, config, split, log)


def judge(
    model: Any,
    material: Material,
    dataset: Dataset,
    config: Config,
    split: str,
    log: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """`evaluate` for a split that has been gathered already."""
    layout, resamples, seed = config.model.layout, config.evaluate.bootstrap, config.seed
    ranges = dict(model.quantizer.ranges)
    start, stop = ranges["shared"]
    table = np.asarray(model.quantizer.table("shared"))
    audio, image = material.audio.encoded, material.image.encoded
    wanted = relevance(audio, image)
    figures: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "run": {"name": config.name, "step": int(model.step), "seed": seed, "layout": layout},
        "data": {
            "name": dataset.name,
            "checksum": dataset.checksum,
            "split": split,
            "recordings": material.audio.total,
            "pictures": material.image.total,
            "recordings_sampled": len(audio.ids),
            "pictures_sampled": len(image.ids),
            "differences": spec_differences(dataset, config),
        },
        "relevance": wanted.kind,
        "label_supervision": _supervision(dataset, config),
        "scorers": SCORERS[layout],
        "retrieval": retrieval_section(material, table, start, layout, wanted, resamples, seed),
    }
    if wanted.kind == "label" and _items_say_more(material):
        figures["retrieval_same_item"] = retrieval_section(
            material, table, start, layout, by_item(audio, image), resamples, seed
        )
    transfer = transfer_section(material, len(table), start, layout, resamples, seed)
    if transfer is not None:
        figures["transfer"] = transfer
    figures["codebook"] = codebook_section(material, ranges, layout, resamples, seed)
    figures["reconstruction"] = reconstruction_section(model, material, judging_config(dataset, config))
    figures["cost"] = cost_section(log, audio.shared.shape[1], len(table))
    return figures


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
    audio, image = material.audio.encoded, material.image.encoded
    items = np.intersect1d(audio.items, image.items)
    return material.pair_by == "item" and len(items) > len(np.unique(image.labels))
