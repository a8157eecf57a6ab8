"""A model with codes that differ, without training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqmm.config import Config
from vqmm.data.records import Dataset
from vqmm.encoding import encode_split
from vqmm.export.samples import sample_items
from vqmm.export.saved_model import write_saved_model
from vqmm.models import VQVAE, build_model

MadeOnce = Callable[[str, Callable[[Path], object]], Path]


class Codec(NamedTuple):
    """A model, untrained but with its codes among its latents, and items of both kinds."""

    model: VQVAE
    config: Config
    items: dict[str, np.ndarray]


def codec_of(config: Config, data: Dataset) -> Codec:
    model = build_model(config)
    latents = [encode_split(model, data, config, "train", m).embeddings for m in ("audio", "image")]
    tokens = np.concatenate([part.reshape(-1, part.shape[-1]) for part in latents])
    start, stop = model.quantizer.ranges["shared"]
    places = np.linspace(0, len(tokens) - 1, stop - start).astype(int)
    model.quantizer.place("shared", tokens[places])
    model.quantizer.start()
    return Codec(model, config, sample_items(data, config, "test", 100))


def shared_codec(config: Config, data: Dataset, made_once: MadeOnce) -> Codec:
    """Returns `codec_of`, with the same weights in all processes of the tests."""
    codec = codec_of(config, data)
    codec.model.load_weights(_shared_files(codec, made_once) / "model.weights.h5")
    return codec


def shared_export(codec: Codec, made_once: MadeOnce) -> Path:
    """Returns the folder of versions of the SavedModel of `shared_codec`. No test changes it."""
    return _shared_files(codec, made_once) / "saved_model"


def _shared_files(codec: Codec, made_once: MadeOnce) -> Path:
    """Writes weights and export together: a test may change the model that is in its process."""

    def write(folder: Path) -> None:
        folder.mkdir()
        codec.model.save_weights(folder / "model.weights.h5")
        write_saved_model(codec.model, codec.config, folder / "saved_model")

    return made_once("codec", write)
