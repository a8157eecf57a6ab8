"""What a model draws: is it like the data, and does one modality follow from the other?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from vqmm.evaluation.extractors import FEWEST_JUDGED, Extractor, as_seen, scaled
from vqmm.evaluation.material import Material, Side
from vqmm.metrics import (
    bootstrap_figure,
    classifier_score,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from vqmm.models import VAE, Codes

BATCH = 100


def generation_section(
    model: Any,
    material: Material,
    extractors: Mapping[str, Extractor],
    count: int,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """`generation` of `evaluation.json`.

    `unconditional`: items drawn from the model's simple prior (see `draw`) beside the split that
    is judged, in features; `floor` is the distance of as many training items from it, which
    nobody can beat but by chance. `audio_to_image` and `image_to_audio`: what is rebuilt from
    the shared latents of the other modality alone, and how often the classifier sees the
    other's label in it.

    Args:
        model: with codes or a VAE.
        material: what is judged.
        extractors: of `fit_extractors`.
        count: of items drawn, at least `FEWEST_JUDGED`.
        resamples, seed: of the intervals; the seed also of the draw.
    """
    sides = {"audio": material.audio, "image": material.image}
    training = {"audio": material.train_audio, "image": material.train_image}
    section: dict[str, Any] = {
        "prior": PRIORS["vae" if isinstance(model, VAE) else "codes"],
        "extractors": {
            name: {"kind": found.kind, "accuracy": found.taught.accuracy}
            for name, found in extractors.items()
        },
        "unconditional": {},
    }
    drawn = draw(model, material, max(count, FEWEST_JUDGED), seed)
    drawn["audio"] = scaled(drawn["audio"])
    for name, extractor in extractors.items():
        real = extractor.features(as_seen(model, sides[name]))
        items = drawn[name]
        fake = extractor.features(items)
        section["unconditional"][name] = compared(real, fake, resamples, seed)
        if extractor.kind == "labels":
            score = classifier_score(extractor.probabilities(items), seed=seed)
            section["unconditional"][name]["classifier_score"] = score.to_json()
        train = training[name]
        if train is not None:
            rows = np.random.default_rng(seed).permutation(len(train.inputs))[: len(items)]
            floor = extractor.features(as_seen(model, train._replace(inputs=train.inputs[rows])))
            section["unconditional"][name]["floor"] = compared(real, floor, resamples, seed)
    if {found.kind for found in extractors.values()} == {"labels"} and len(extractors) == 2:
        said, shown = (extractors[name].probabilities(drawn[name]).argmax(1) for name in ("audio", "image"))
        together = (said == shown).astype("float64")
        section["unconditional"]["joint_coherence"] = bootstrap_figure(
            together, resamples=resamples, seed=seed
        ).to_json()
        for source, target in (("audio", "image"), ("image", "audio")):
            found = _carried(model, sides[source], target, extractors[target])
            coherence = bootstrap_figure(found, resamples=resamples, seed=seed)
            section[f"{source}_to_{target}"] = {"coherence": coherence.to_json()}
    return section


PRIORS = {
    "vae": "latents from the standard normal distribution, the shared ones the same for both modalities",
    "codes": "each code from how often the training split has it at its place, independent of the others",
}


def draw(model: Any, material: Material, count: int, seed: int) -> dict[str, np.ndarray]:
    """Items of both modalities from the simple prior that `PRIORS` names, paired by their shared latents.

    A stand-in until a prior over codes has learned which of them go together.

    Returns:
        Pictures f32[count, H, W, C] and log-mel f32[count, frames, mels, 1] by modality.
    """
    training = {
        "audio": material.train_audio or material.audio,
        "image": material.train_image or material.image,
    }
    rng = np.random.default_rng(seed)
    noise = keras.random.SeedGenerator(seed)
    parts: dict[str, list[np.ndarray]] = {"audio": [], "image": []}
    encoder = model.encoders["audio"]
    both = None
    if not isinstance(model, VAE) and _same(training):
        both = np.concatenate([side.encoded.shared for side in training.values()])
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        if isinstance(model, VAE):
            shared = None
            if encoder.layout == "slots":
                shared = keras.random.normal((size, encoder.slots, model.decoders["audio"].dim), seed=noise)
            for name, found in parts.items():
                found.append(np.asarray(model.sample(size, name, noise, shared)))
            continue
        common = None if both is None else _by_place(both, size, rng)
        for name, found in parts.items():
            encoded = training[name].encoded
            codes = _by_place(encoded.shared, size, rng) if common is None else common
            private = None if encoded.private is None else _by_place(encoded.private, size, rng)
            found.append(np.asarray(model.decode(Codes(codes, private), name)))
    return {name: np.concatenate(found) for name, found in parts.items()}


def compared(real: np.ndarray, fake: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    """Distances and coverage of two sets of features, as in `evaluation.json`."""
    cover = precision_recall(real, fake, resamples=resamples, seed=seed)
    return {
        "frechet": frechet_distance(real, fake, seed=seed).to_json(),
        "kernel": kernel_distance(real, fake, seed=seed).to_json(),
        "precision": cover.precision.to_json(),
        "recall": cover.recall.to_json(),
    }


def _carried(model: Any, side: Side, target: str, extractor: Extractor) -> np.ndarray:
    """1 where the classifier sees in the carried item the label of its source, else 0; f64[n]."""
    known = side.encoded.labels >= 0
    source = side.encoded.modality
    inputs, labels = side.inputs[known], side.encoded.labels[known]
    seen = []
    for start in range(0, len(inputs), BATCH):
        items = np.asarray(model.reconstruct(inputs[start : start + BATCH], source, to=target))
        seen.append(extractor.probabilities(scaled(items) if target == "audio" else items).argmax(1))
    return (np.concatenate(seen) == labels).astype("float64")


def _by_place(codes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Codes i32[count, T], each place drawn from those that the items have there."""
    rows = rng.integers(len(codes), size=(count, codes.shape[1]))
    return codes[rows, np.arange(codes.shape[1])]


def _same(sides: Mapping[str, Side]) -> bool:
    return len({side.encoded.shared.shape[1] for side in sides.values()}) == 1
