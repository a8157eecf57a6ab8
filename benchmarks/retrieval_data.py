"""Items in any number that are spread as a run's own are: its test split's latents, with noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.data.shards import MODALITIES, Modality

Floats = npt.NDArray[np.float32]
BLOCK = 50_000
KEPT = 2_000_000


class Latents(NamedTuple):
    """What a run makes of its data, continuous.

    Attributes:
        audio, image: f32[n, slots, dim] of the test split, unit length per slot.
        audio_labels, image_labels: i[n].
        train: f32[m, slots, dim] of the training split, both modalities, for peers that learn.
        codebook: f32[K, dim], the shared codes at unit length.
        fine: f32[slots, R, dim], the tables of fine codes; None where the run has none.
    """

    audio: Floats
    image: Floats
    audio_labels: npt.NDArray[np.int32]
    image_labels: npt.NDArray[np.int32]
    train: Floats
    codebook: Floats
    fine: Floats | None = None


class Draw:
    """The same items at every reading, block by block; up to KEPT of them are kept in memory.

    Args:
        latents: to draw from, f32[n, slots, dim].
        items: how many.
        noise: standard deviation of what is added to every coordinate before the length is 1 again.
        seed: of it all.
    """

    def __init__(self, latents: Floats, items: int, noise: float, seed: int):
        self._latents, self.items, self.noise, self._seed = latents, items, noise, seed
        self._kept: dict[int, Floats] = {}

    def blocks(self) -> Iterator[Floats]:
        """f32[at most BLOCK, slots, dim], one after the other."""
        for start in range(0, self.items, BLOCK):
            block = self._kept.get(start)
            if block is None:
                block = self._block(start)
            if self.items <= KEPT:
                self._kept[start] = block
            yield block

    def whole(self) -> Floats:
        """All of them at once."""
        return np.concatenate(list(self.blocks()))

    def origins(self) -> npt.NDArray[np.int64]:
        """The latent that each item came from, i64[items]."""
        return np.concatenate([self._picked(start)[1] for start in range(0, self.items, BLOCK)])

    def _picked(self, start: int) -> tuple[np.random.Generator, npt.NDArray[np.int64]]:
        rng = np.random.default_rng((self._seed, start))
        return rng, rng.integers(0, len(self._latents), min(BLOCK, self.items - start))

    def _block(self, start: int) -> Floats:
        rng, picked = self._picked(start)
        values = self._latents[picked]
        values += np.float32(self.noise) * rng.standard_normal(values.shape, np.float32)
        values /= np.linalg.norm(values, axis=-1, keepdims=True)
        return values


def latents_of(run: str, data: str) -> Latents:
    """Encodes the splits of prepared data with a run's model."""
    from vqmm.data.records import Dataset
    from vqmm.encoding import Encoded, encode_split
    from vqmm.retrieval.model_index import index_for, query_values
    from vqmm.training.run_folder import open_run

    opened, dataset = open_run(run, coded=True), Dataset.open(data)

    def encoded(split: str, modality: Modality) -> Encoded:
        return encode_split(opened.model, dataset, opened.config, split, modality)

    audio, image = encoded("test", "audio"), encoded("test", "image")
    train = [query_values(opened.model, encoded("train", modality)) for modality in MODALITIES]
    return Latents(
        query_values(opened.model, audio),
        query_values(opened.model, image),
        audio.labels,
        image.labels,
        np.concatenate(train),
        index_for(opened.model, opened.config).codebook,
        opened.model.fine_tables(),
    )


def nearest_codes(values: Floats, codebook: Floats) -> npt.NDArray[np.int64]:
    """The code of each slot by cosine, as the model's own search has it, i[n, slots]."""
    flat = values.reshape(-1, values.shape[-1])
    return (flat @ codebook.T).argmax(axis=1).reshape(values.shape[:2])


def nearest_fine(values: Floats, codes: npt.NDArray[np.int64], latents: Latents) -> npt.NDArray[np.int64]:
    """The row of each slot's fine table nearest to what its code leaves, i[n, slots]."""
    if latents.fine is None:
        raise ValueError("these latents have no fine codes")
    left = values - latents.codebook[codes]
    found = np.empty(codes.shape, np.int64)
    for slot, table in enumerate(latents.fine):
        scores = left[:, slot] @ table.T - 0.5 * np.square(table).sum(axis=1)
        found[:, slot] = scores.argmax(axis=1)
    return found


def nearest_two(values: Floats, codebook: Floats, share: float = 0.8) -> Floats:
    """Each slot as a mixture of its two nearest codes, f32[n, slots, dim]; nothing is trained.

    A slot that uses few codes has few such pairs: their number fits into the byte of its code.
    """
    flat = values.reshape(-1, values.shape[-1])
    best = np.argsort(-(flat @ codebook.T), axis=1)[:, :2]
    mixed = share * codebook[best[:, 0]] + (1 - share) * codebook[best[:, 1]]
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).reshape(values.shape)


def exact_hits(queries: Floats, draw: Draw, k: int) -> npt.NDArray[np.int64]:
    """Rows of the k items with the highest inner product of continuous vectors, i64[q, k]."""
    flat = queries.reshape(len(queries), -1)
    rows = np.empty((len(flat), 0), np.int64)
    scores = np.empty((len(flat), 0), np.float32)
    start = 0
    for block in draw.blocks():
        here = flat @ block.reshape(len(block), -1).T
        best = np.argpartition(-here, k - 1, axis=1)[:, :k]
        rows = np.concatenate([rows, start + best], axis=1)
        scores = np.concatenate([scores, np.take_along_axis(here, best, axis=1)], axis=1)
        kept = np.argsort(-scores, axis=1)[:, :k]
        rows, scores = np.take_along_axis(rows, kept, axis=1), np.take_along_axis(scores, kept, axis=1)
        start += len(block)
    return rows
