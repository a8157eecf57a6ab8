"""Encoded items made by hand."""

import numpy as np

from vqmm.encoding import Encoded
from vqmm.evaluation import Material, Side
from vqmm.metrics.scorers import unit

START, TABLE = 2, np.eye(4, dtype="float32")  # four shared codes after two others


def encode(modality, labels, items=None, wrong=0.0, seed=0, tokens=3):
    """Items whose codes are their label in every slot, but for a share of random ones."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels, "int32")
    local = np.repeat(np.maximum(labels, 0)[:, None] % 4, tokens, axis=1)
    local = np.where(rng.random(local.shape) < wrong, rng.integers(0, 4, local.shape), local)
    latents = unit(TABLE[local] + 0.1 * rng.normal(size=(*local.shape, 4)))
    names = np.array([f"{modality}{i}" for i in range(len(labels))], dtype=object)
    items = np.arange(len(labels)) if items is None else np.asarray(items)
    shared = (local + START).astype("int32")
    return Encoded(modality, names, labels, items.astype("int64"), latents, shared, None)


def material(audio, image, train=True, pair_by="label"):
    """Material without inputs, for what only reads codes."""
    sides = {e.modality: Side(e, np.zeros((len(e.ids), 1), "float32"), len(e.ids)) for e in (audio, image)}
    return Material(sides, sides if train else {}, ("a", "b", "c", "d"), pair_by)
