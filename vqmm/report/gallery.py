"""A few items of a run as arrays, so that runs can be shown side by side without their models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vqmm.atomic import replacing
from vqmm.config import Config
from vqmm.evaluation import Material, rebuild, waveforms
from vqmm.evaluation.draws import SimpleDraws
from vqmm.report.examples import draw_rows

PICTURES, SOUNDS = 8, 3
SEED = 0  # of which items: the same for every run on the same data


class Gallery(NamedTuple):
    """What a run makes of the same items as every other run on its data; empty for a modality it lacks.

    Attributes:
        pictures, rebuilt_pictures, drawn_pictures: f32[8, H, W, C] in 0..1: originals, from all of
            their codes or latents, and drawn from the run's simple prior.
        mels, rebuilt_mels, drawn_mels: f32[3, frames, mels, 1], log10.
        sounds, rebuilt_sounds, drawn_sounds: f32[3, samples]; all but the originals by
            Griffin-Lim.
    """

    pictures: np.ndarray
    rebuilt_pictures: np.ndarray
    drawn_pictures: np.ndarray
    mels: np.ndarray
    rebuilt_mels: np.ndarray
    drawn_mels: np.ndarray
    sounds: np.ndarray
    rebuilt_sounds: np.ndarray
    drawn_sounds: np.ndarray


def gather_gallery(model: Any, material: Material, config: Config) -> Gallery:
    """Draws the items and runs the model on them."""
    drawn = SimpleDraws(model, material).together(PICTURES, SEED)
    found = {name: np.zeros(0, "float32") for name in Gallery._fields}
    if "image" in material.sides:
        side = material.sides["image"]
        rows = draw_rows(side.encoded.labels, PICTURES, SEED)
        found |= {
            "pictures": side.inputs[rows],
            "rebuilt_pictures": rebuild(model, side, rows),
            "drawn_pictures": drawn["image"],
        }
    if "audio" in material.sides:
        side = material.sides["audio"]
        rows = draw_rows(side.encoded.labels, SOUNDS, SEED)
        rebuilt, new = rebuild(model, side, rows), drawn["audio"][:SOUNDS]
        found |= {
            "mels": np.asarray(model.log_mel(side.inputs[rows])),
            "rebuilt_mels": rebuilt,
            "drawn_mels": new,
            "sounds": side.inputs[rows],
            "rebuilt_sounds": waveforms(rebuilt, config),
            "drawn_sounds": waveforms(new, config),
        }
    return Gallery(**found)


def save_gallery(gallery: Gallery, path: Path) -> None:
    """Writes an `.npz` whole or not at all; half the precision is enough to look at."""
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **{k: v.astype("float16") for k, v in gallery._asdict().items()})


def load_gallery(path: Path) -> Gallery | None:
    """What `save_gallery` wrote; None where there is none."""
    if not path.exists():
        return None
    with np.load(path) as arrays:
        return Gallery(*(arrays[name].astype("float32") for name in Gallery._fields))
