"""A model with codes that differ, without training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vqmm.config import Config
from vqmm.data.records import Dataset
from vqmm.encoding import encode_split
from vqmm.export.samples import sample_items
from vqmm.models import VQVAE, build_model


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
