"""Several configs beside each other: the figures that a user chooses by, over seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.evaluation.cases import CASES, Cases, Features, Values, paired_difference, paired_frechet
from vqmm.metrics import Figure
from vqmm.training.metrics_log import read_metrics

FIGURES = {
    "code distance, audio to image": "retrieval.audio_to_image.code_distance.map",
    "code distance, image to audio": "retrieval.image_to_audio.code_distance.map",
    "shared codes alone, audio to image": "retrieval.audio_to_image.shared_distance.map",
    "shared codes alone, image to audio": "retrieval.image_to_audio.shared_distance.map",
    "continuous, audio to image": "retrieval.audio_to_image.continuous.map",
    "continuous, image to audio": "retrieval.image_to_audio.continuous.map",
    "exact match, audio to image": "retrieval.audio_to_image.exact.map",
    "exact match, image to audio": "retrieval.image_to_audio.exact.map",
    "k-means code distance, audio to image": "retrieval.audio_to_image.kmeans.code_distance.map",
    "k-means code distance, image to audio": "retrieval.image_to_audio.kmeans.code_distance.map",
    "pair agreement": "codebook.pair_agreement",
    "pair information, bits a slot": "codebook.pair_information.per_slot_bits",
    "shared codes": "codebook.codes",
    "usage, shared": "codebook.ranges.shared.usage",
    "usage, image": "codebook.ranges.image.usage",
    "usage, audio": "codebook.ranges.audio.usage",
    "owned by one modality": "codebook.exclusive",
    "picture MSE": "reconstruction.image.mse",
    "picture PSNR, dB": "reconstruction.image.psnr",
    "picture SSIM": "reconstruction.image.ssim",
    "picture cross-entropy, bits a sample": "reconstruction.image.cross_entropy",
    "picture perceptual distance": "reconstruction.image.perceptual",
    "picture Fréchet distance, rebuilt": "reconstruction.image.frechet",
    "log-mel L1": "reconstruction.audio.log_mel_l1",
    "multi-scale mel distance": "reconstruction.audio.multiscale_mel",
    "sound Fréchet distance, rebuilt": "reconstruction.audio.frechet",
    "pictures drawn, Fréchet distance": "generation.unconditional.image.frechet",
    "pictures drawn, kernel distance": "generation.unconditional.image.kernel",
    "pictures drawn, precision": "generation.unconditional.image.precision",
    "pictures drawn, recall": "generation.unconditional.image.recall",
    "pictures, real from training, Fréchet distance": "generation.unconditional.image.floor.frechet",
    "sounds drawn, Fréchet distance": "generation.unconditional.audio.frechet",
    "sounds drawn, precision": "generation.unconditional.audio.precision",
    "sounds drawn, recall": "generation.unconditional.audio.recall",
    "picture from sound, right label": "generation.audio_to_image.coherence",
    "sound from picture, right label": "generation.image_to_audio.coherence",
    "active shared latents, image": "latents.image.shared.active_units",
    "active private latents, image": "latents.image.private.active_units",
    "shared bits an item": "cost.bits_per_item",
    "shared bytes an item": "cost.bytes_per_item",
    "bytes an item in an index": "cost.bytes_in_index",
    "bits a picture": "cost.bits_per_picture",
    "bits a recording": "cost.bits_per_recording",
    "steps a second": "cost.steps_per_second",
    "training seconds": "cost.train_seconds",
}


class Spread(NamedTuple):
    """One figure over seeds.

    Attributes:
        mean, low, high: over the seeds that have it.
        values: one a seed; NaN where a seed lacks it.
    """

    mean: float
    low: float
    high: float
    values: tuple[float, ...]


def run_figures(folder: Path, quality: float) -> dict[str, float]:
    """The figures of one trained and evaluated run.

    Args:
        folder: the run folder.
        quality: mean average precision on validation pairs whose first time is told.

    Returns:
        Figures by their names in `FIGURES` (those that the run has), `seconds to
        quality` (infinite where it was not reached) and, where the folder has
        `peak.json`, `peak memory, MiB`.
    """
    tree = json.loads((folder / "evaluation.json").read_text())
    found = {name: value for name, path in FIGURES.items() if (value := _figure(tree, path)) is not None}
    reached = [
        line["seconds"]
        for line in read_metrics(folder / "metrics.jsonl")
        if line["split"] == "validation" and line.get("retrieval_map", 0.0) >= quality
    ]
    found["seconds to quality"] = float(min(reached, default=math.inf))
    if (folder / "peak.json").exists():
        found["peak memory, MiB"] = json.loads((folder / "peak.json").read_text())["mebibytes"]
    return found


def differences(ours: Sequence[Path], theirs: Sequence[Path], resamples: int = 1000) -> dict[str, Figure]:
    """How much more one config has of each figure than another, over the same cases.

    See `paired_difference` and, for Fréchet distances of what was rebuilt, `paired_frechet`.

    Args:
        ours, theirs: run folders, one a seed, the seeds in the same order.
        resamples: of the intervals.

    Returns:
        Figures by their names in `FIGURES`: those of which both keep the cases.
    """
    held = [[Cases.load(folder / CASES) for folder in folders] for folders in (ours, theirs)]
    found = {}
    for name, path in FIGURES.items():
        if all(path in cases for side in held for cases in side):
            mine, other = ([cases[path] for cases in side] for side in held)
            difference = _difference(mine, other, resamples)
            if difference is not None:
                found[name] = difference
    return found


def _difference(mine: Sequence[Any], other: Sequence[Any], resamples: int) -> Figure | None:
    kinds = {type(cases) for cases in (*mine, *other)}
    if kinds == {Values}:
        return paired_difference(mine, other, resamples)
    return paired_frechet(mine, other) if kinds == {Features} else None


def spreads(runs: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Mean and range of every figure over the seeds of one config."""
    names = dict.fromkeys(name for run in runs for name in run)
    table = {}
    for name in names:
        values = tuple(run.get(name, math.nan) for run in runs)
        known = [value for value in values if not math.isnan(value)]
        table[name] = Spread(sum(known) / len(known), min(known), max(known), values)
    return table


def _figure(tree: Any, path: str) -> float | None:
    for part in path.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return None
        tree = tree[part]
    value = tree["value"] if isinstance(tree, Mapping) else tree
    return float(value)
