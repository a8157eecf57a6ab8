"""What a model draws: is it like the data, and does one modality follow from the other?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vqmm.evaluation.draws import Draws, SimpleDraws
from vqmm.evaluation.extractors import FEWEST_JUDGED, Extractor, SetJudge, as_seen, log_mels, scaled
from vqmm.evaluation.material import Material
from vqmm.evaluation.reconstruction import rebuild
from vqmm.metrics import (
    bootstrap_figure,
    classifier_score,
    frechet_distance,
    kernel_distance,
    precision_recall,
)


def generation_section(
    model: Any,
    material: Material,
    extractors: Mapping[str, Extractor],
    count: int,
    resamples: int,
    seed: int,
    draws: Draws | None = None,
    sound: Callable[[np.ndarray], np.ndarray] | None = None,
    sets: Mapping[str, SetJudge] | None = None,
) -> dict[str, Any]:
    """`generation` of `evaluation.json`.

    `extractors`: in whose features, see `fit_extractors`; `named` those that were named instead for
    the distances, coverage and score of sets. `unconditional`: items drawn from a prior beside the
    split that is judged, in features;
    `floor` is the distance of as many training items from it, which nobody can beat but by chance;
    with a trained prior also `reconstructed`, that of as many training items that the tokenizer
    has rebuilt, which is what its codes allow. `audio_to_image` and `image_to_audio`: what is made
    from items of the other modality, and how often the classifier sees the other's label in it, and
    (`heard`) in the log-mel of its sound.

    Args:
        model: with codes or a VAE.
        material: what is judged.
        extractors: of `fit_extractors`.
        count: of items drawn, at least `FEWEST_JUDGED`.
        resamples, seed: of the intervals; the seed also of the draw.
        draws: of a trained prior; None: the simple one of `SimpleDraws`.
        sound: from log-mel f32[n, frames, mels, 1] to sound f32[n, samples]; None: none is made, and
            clips are judged by their log-mel alone.
        sets: judges of sets in place of the extractors, see `name_extractors`.
    """
    source = draws or SimpleDraws(model, material)
    sides = material.sides
    section: dict[str, Any] = {
        "prior": source.name,
        "extractors": {name: found.to_json() for name, found in extractors.items()},
        **({"named": {name: found.to_json() for name, found in sets.items()}} if sets else {}),
        "unconditional": {},
    }
    drawn = source.together(max(count, FEWEST_JUDGED), seed)
    if "audio" in drawn:
        drawn["audio"] = scaled(drawn["audio"])
    judges: dict[str, SetJudge] = {**extractors, **(sets or {})}
    for name, extractor in judges.items():
        real = extractor.features(as_seen(model, sides[name]))
        items = drawn[name]
        fake = extractor.features(items)
        section["unconditional"][name] = compared(real, fake, resamples, seed)
        if extractor.kind != "turns":
            score = classifier_score(extractor.probabilities(items), seed=seed)
            section["unconditional"][name]["classifier_score"] = score.to_json()
        train = material.training.get(name)
        if train is not None:
            rows = np.random.default_rng(seed).permutation(len(train.inputs))[: len(items)]
            floor = extractor.features(as_seen(model, train._replace(inputs=train.inputs[rows])))
            section["unconditional"][name]["floor"] = compared(real, floor, resamples, seed)
            if draws is not None:
                again = rebuild(model, train, rows)
                best = extractor.features(scaled(again) if name == "audio" else again)
                section["unconditional"][name]["reconstructed"] = compared(real, best, resamples, seed)
    if {found.kind for found in extractors.values()} == {"labels"} and len(extractors) == 2:
        said, shown = (extractors[name].probabilities(drawn[name]).argmax(1) for name in ("audio", "image"))
        together = (said == shown).astype("float64")
        section["unconditional"]["joint_coherence"] = bootstrap_figure(
            together, resamples=resamples, seed=seed
        ).to_json()
        for given, target in (("audio", "image"), ("image", "audio")):
            # A label that the classifier was not taught would count as never recognised.
            rows = np.flatnonzero(np.isin(sides[given].encoded.labels, extractors[target].labels))
            if not len(rows):
                continue
            items = source.carried(sides[given], rows, target, seed)
            seen = {"coherence": items}
            if target == "audio" and sound is not None:
                seen["heard"] = log_mels(model, sound(items))
            wanted = sides[given].encoded.labels[rows]
            section[f"{given}_to_{target}"] = {
                name: bootstrap_figure(
                    _right(extractors[target], found, wanted, target), resamples=resamples, seed=seed
                ).to_json()
                for name, found in seen.items()
            }
    return section


def compared(real: np.ndarray, fake: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    """Distances and coverage of two sets of features, as in `evaluation.json`."""
    cover = precision_recall(real, fake, resamples=resamples, seed=seed)
    return {
        "frechet": frechet_distance(real, fake, seed=seed).to_json(),
        "kernel": kernel_distance(real, fake, resamples, seed).to_json(),
        "precision": cover.precision.to_json(),
        "recall": cover.recall.to_json(),
    }


def _right(extractor: Extractor, items: np.ndarray, wanted: np.ndarray, modality: str) -> np.ndarray:
    """1 where the classifier sees in an item the label that it was made for, else 0; f64[n]."""
    seen = extractor.probabilities(scaled(items) if modality == "audio" else items).argmax(1)
    return (seen == wanted).astype("float64")
