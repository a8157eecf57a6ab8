"""Where drawn items come from: a simple prior, or one that was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import keras
import numpy as np

from vqmm.evaluation.material import Material, Side
from vqmm.models import VAE, Codes
from vqmm.models.generator import Drawn, Generator
from vqmm.phase_progress import PhaseProgress

BATCH = 100
SIMPLE = {
    "vae": "latents from the standard normal distribution, the shared ones the same for both modalities",
    "codes": "each code from how often the training split has it at its place, independent of the others",
}


class Draws(Protocol):
    """A source of items.

    Attributes:
        name: what it is, in words.
    """

    name: str

    def together(self, count: int, seed: int) -> dict[str, np.ndarray]:
        """Pictures f32[count, H, W, C] and log-mel f32[count, frames, mels, 1] by modality, in pairs;
        of the modalities that there are."""

    def carried(self, side: Side, rows: np.ndarray, to: str, seed: int) -> np.ndarray:
        """What is made of some items of `side` in the other modality `to`."""


class SimpleDraws:
    """Items from the simple prior that `SIMPLE` names, paired by their shared latents.

    What is carried over is rebuilt from the shared latents alone.

    Args:
        model: with codes or a VAE.
        material: its training items give the codes.
    """

    def __init__(self, model: Any, material: Material):
        self.model = model
        self.training = {**material.sides, **material.training}
        self.name = SIMPLE["vae" if isinstance(model, VAE) else "codes"]

    def together(self, count: int, seed: int) -> dict[str, np.ndarray]:
        model, training = self.model, self.training
        rng = np.random.default_rng(seed)
        noise = keras.random.SeedGenerator(seed)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in training}
        first = next(iter(training))
        encoder = model.encoders[first]
        both = None
        if not isinstance(model, VAE) and _same(training):
            both = np.concatenate([side.encoded.shared for side in training.values()])
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            if isinstance(model, VAE):
                shared = None
                if encoder.layout == "slots":
                    shared = keras.random.normal((size, encoder.slots, model.decoders[first].dim), seed=noise)
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

    def carried(self, side: Side, rows: np.ndarray, to: str, seed: int) -> np.ndarray:
        source, inputs = side.encoded.modality, side.inputs[rows]
        parts = [
            np.asarray(self.model.reconstruct(inputs[start : start + BATCH], source, to=to))
            for start in range(0, len(inputs), BATCH)
        ]
        return np.concatenate(parts)


class PriorDraws:
    """Items from a trained prior; what is carried over gets its private codes from it.

    Args:
        generator: of the prior and its tokenizer.

    Attributes:
        drawn: by the last call of `together`, None before it.
    """

    def __init__(self, generator: Generator):
        self.generator = generator
        self.drawn: Drawn | None = None
        kind, settings = generator.prior.kind, generator.sampler.settings
        steps = f" in {settings.steps} steps" if kind == "masked" else ""
        self.name = f"{kind} transformer over all codes{steps}"

    def together(self, count: int, seed: int) -> dict[str, np.ndarray]:
        with PhaseProgress("sampling pairs from the prior", "pairs", count) as shown:
            drawn = self.generator.unconditional(count, seed, progress=shown.reach_fraction)
        self.drawn = drawn
        return {name: self.generator.decode(drawn, name) for name in ("audio", "image")}

    def carried(self, side: Side, rows: np.ndarray, to: str, seed: int) -> np.ndarray:
        with PhaseProgress(f"sampling {to} from the prior", "items", len(rows)) as shown:
            drawn = self.generator.across(codes_of(side, rows), to, seed, progress=shown.reach_fraction)
        return self.generator.decode(drawn, to)


def codes_of(side: Side, rows: np.ndarray) -> Codes:
    """Codes of some items of a side."""
    own = side.encoded.private
    return Codes(side.encoded.shared[rows], None if own is None else own[rows])


def _by_place(codes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Codes i32[count, T], each place drawn from those that the items have there."""
    rows = rng.integers(len(codes), size=(count, codes.shape[1]))
    return codes[rows, np.arange(codes.shape[1])]


def _same(sides: Mapping[str, Side]) -> bool:
    return len({side.encoded.shared.shape[1] for side in sides.values()}) == 1
