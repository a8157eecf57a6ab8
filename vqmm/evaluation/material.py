"""What an evaluation looks at: sampled items of a split, encoded, with their inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vqmm.config import Config
from vqmm.data.batches import evaluation_batches
from vqmm.data.records import Dataset, baked
from vqmm.data.shards import Modality
from vqmm.encoding import KINDS, Encoded, encode_batches
from vqmm.errors import UserError

SAMPLE_SEED = 0  # not the run's: runs of several seeds are compared item by item
NEEDED = tuple(
    f"data.{key}=" for key in ("audio.sample_rate", "image.height", "image.width", "image.channels")
)


class Side(NamedTuple):
    """Items of one modality.

    Attributes:
        encoded: ids, labels, items, latents and codes of n items.
        inputs: f32[n, samples] or f32[n, H, W, C], as the model saw them.
        total: how many items the split holds; n of them were sampled.
    """

    encoded: Encoded
    inputs: np.ndarray
    total: int


class Material(NamedTuple):
    """A split (or a sample of it) ready to be judged.

    Attributes:
        sides: its recordings (`"audio"`) and pictures (`"image"`); without the modality that it lacks.
        training: training items, for what is fitted (classifier, k-means), of each of these modalities
            that the data has any of.
        labels: label names.
        pair_by: `"item"` or `"label"`, what makes a pair in this data.
    """

    sides: dict[str, Side]
    training: dict[str, Side]
    labels: tuple[str, ...]
    pair_by: str

    @property
    def paired(self) -> bool:
        """Whether there are both recordings and pictures, so that one can be asked for the other."""
        return len(self.sides) == len(KINDS)


def gather_material(model: Any, dataset: Dataset, config: Config, split: str) -> Material:
    """Encodes up to ``config.evaluate.max_items`` of each modality, of larger splits a sample.

    The sample is the same for every run on the data, whatever its seed.

    Args:
        model: a `VQVAE`.
        dataset: any prepared data of the model's rate and picture size.
        config: of the run.
        split: that is judged.

    Raises:
        UserError: the data has another spec, or nothing in the split.
    """
    config = judging_config(dataset, config)
    held: list[Modality] = [modality for modality in KINDS if _total(dataset, split, modality)]
    if not held:
        filled = [name for name in dataset.counts if any(_total(dataset, name, m) for m in KINDS)]
        others = ", ".join(filled) or "none"
        raise UserError(f"split {split!r} of {dataset.folder} is empty; splits that are not: {others}")

    def gathered(name: str) -> dict[str, Side]:
        return {m: _side(model, dataset, config, name, m) for m in held if _total(dataset, name, m)}

    return Material(gathered(split), gathered("train"), dataset.labels, dataset.pair_by)


def check_paired(dataset: Dataset, split: str) -> None:
    """Refuses a split that lacks a modality, where both are asked for.

    Raises:
        UserError: naming what is missing and the splits that have both.
    """
    for modality, kind in KINDS.items():
        if not _total(dataset, split, modality):
            held = [name for name in dataset.counts if all(_total(dataset, name, m) for m in KINDS)]
            raise UserError(
                f"split {split!r} of {dataset.folder} has no {kind}; both modalities are needed. "
                f"Splits that have both: {', '.join(held) or 'none'}"
            )


def judging_config(dataset: Dataset, config: Config) -> Config:
    """The run's config with the data's own preparation, so that a run may be judged on any data.

    Raises:
        UserError: the model cannot take this data; with every difference.
    """
    wrong = [d for d in spec_differences(dataset, config) if d.startswith(NEEDED)]
    if wrong:
        raise UserError(
            f"{dataset.folder} was prepared with {'; '.join(wrong)}; prepare it with the run's config.yaml"
        )
    audio = dataset.audio.model_copy(update={"samples": config.data.audio.samples})
    data = {"audio": audio, "image": dataset.image, "pair_by": dataset.pair_by}
    return config.model_copy(update={"data": config.data.model_copy(update=data)})


def spec_differences(dataset: Dataset, config: Config) -> list[str]:
    """Where the data was prepared otherwise than the run's training data, a line for each key."""
    return [
        f"data.{section}.{key}={getattr(held, key)!r}, the run has {value!r}"
        for section, held, wanted in (
            ("audio", dataset.audio, config.data.audio),
            ("image", dataset.image, config.data.image),
        )
        for key, value in baked(wanted).items()
        if getattr(held, key) != value
    ]


def sampled_rows(total: int, most: int, seed: int) -> np.ndarray:
    """Rows i64[min(total, most)] in order: all, or a seeded sample without replacement."""
    if total <= most:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, most, replace=False))


def only_rows(batches: Iterable[Mapping[str, Any]], rows: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """The batches with only some rows of the whole, which is numbered in order; empty ones are left out."""
    start = 0
    for batch in batches:
        columns = {name: np.asarray(column) for name, column in batch.items()}
        size = len(columns["id"])
        keep = rows[(rows >= start) & (rows < start + size)] - start
        start += size
        if len(keep):
            yield {name: column[keep] for name, column in columns.items()}


def _total(dataset: Dataset, split: str, modality: Modality) -> int:
    return int(dataset.counts.get(split, {}).get(KINDS[modality], 0))


def _batches(
    dataset: Dataset, config: Config, split: str, modality: Modality
) -> Iterator[dict[str, np.ndarray]]:
    rows = sampled_rows(_total(dataset, split, modality), config.evaluate.max_items, SAMPLE_SEED)
    return only_rows(evaluation_batches(dataset, config, split, modality, config.evaluate.batch_size), rows)


def _side(model: Any, dataset: Dataset, config: Config, split: str, modality: Modality) -> Side:
    inputs: list[np.ndarray] = []

    def kept() -> Iterator[dict[str, np.ndarray]]:
        for batch in _batches(dataset, config, split, modality):
            inputs.append(batch[modality])
            yield batch

    encoded = encode_batches(model, kept(), modality, f"split {split!r}")
    return Side(encoded, np.concatenate(inputs), _total(dataset, split, modality))
