"""Batches for training and evaluation, decoded, paired and augmented in the graph.

A batch is a dict: `audio` f32[B, samples] (-1..1), `image` f32[B, H, W, C] (0..1),
`audio_mask` and `image_mask` bool[B] (False where an item lacks the modality, whose
array is then zeros), `id` str[B] (recording and picture joined by "+"), `label`
i32[B] (-1 unknown); and where pairs are of items (`data.pair_by: item`), `item` i64[B],
so that an item that comes several times is not taken for its own negative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import joblib
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vqmm.config import AudioAugment, Config, ImageAugment
from vqmm.data.augment_audio import augment_audio
from vqmm.data.augment_image import augment_image
from vqmm.data.draws import Stream, drawn, item_seeds
from vqmm.data.pairing import pairing_of
from vqmm.data.readers import AudioReader, ImageReader, audio_reader, decoded_bytes, image_reader
from vqmm.data.records import Dataset, Records, Split
from vqmm.data.shards import OTHER
from vqmm.data.used_part import longer_than_window
from vqmm.errors import UserError

WINDOW_STREAM = 99  # of an item's random numbers: where its window lies
PREFETCH = 2


class Part(NamedTuple):
    """The rows of a batch that one of several processes makes.

    Attributes:
        place: of the process, from 0.
        of: how many there are; it divides the batch.
    """

    place: int
    of: int

    def rows(self, size: int) -> slice:
        """Of a batch of `size`."""
        each = size // self.of
        return slice(self.place * each, (self.place + 1) * each)


WHOLE = Part(0, 1)


class TrainingBatches:
    """Endless batches of pairs, from any step on; batch k is a pure function of ``config.seed`` and k.

    The split is read, decoded and traced once, however often batches are drawn.

    Args:
        dataset: prepared data.
        config: `data`, `augment`, `seed` and `train.batch_size` play a part.
        split: train, validation or test.
        augment: whether to distort the items, and to step aside from the loudest
            window of recordings that are too long.
        alone: a modality; the other one is left out before it is decoded, as if the data had none of it.

    Attributes:
        pairs: in an epoch; 0 where the split has one modality alone.
        longer: a sentence about recordings that are longer than the window; None where none is.

    Raises:
        UserError: the split is empty, or prepared otherwise than the config says.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        split: str = "train",
        augment: bool = True,
        alone: Literal["audio", "image"] | None = None,
    ) -> None:
        held = _open(dataset, config, split)
        if alone is not None:
            held = _alone(held, alone)
            if not any(map(len, held)):
                told = f"split {split!r} has no {alone}; choose another, or prepare data that has it"
                raise UserError(told)
            left = AudioAugment() if alone == "image" else ImageAugment()
            kept = config.augment.model_copy(update={OTHER[alone]: left})
            config = config.model_copy(update={"augment": kept})
        self._config = config
        self._augment = augment
        self._readers = _readers(held, config)
        self._pairing = pairing_of(held, config.data.pair_by, config.seed)
        self.pairs = len(self._pairing) if all(map(len, held)) else 0
        self.longer = longer_than_window(held.recordings.lengths, config.data.audio)
        self._made: dict[int, Any] = {}

    def starting_at(self, step: int, part: Part = WHOLE) -> tf.data.Dataset:
        """Batches from the one of `step` on: the same as running up to there gives, at no cost.

        Args:
            step: number of the first batch.
            part: rows of each batch that are made; the parts of all processes are the batch.

        Returns:
            Batches as in the module's description, each full. To be split over the replicas
            of a process by ``strategy.experimental_distribute_dataset``.
        """
        config, pairing = self._config, self._pairing
        size = config.train.batch_size
        mine = part.rows(size)
        own = mine.stop - mine.start

        def plan(step: npt.NDArray[np.int64]) -> tuple[Any, Any, Any]:
            audio_rows, image_rows = pairing.batch(int(step), size)
            return audio_rows[mine], image_rows[mine], item_seeds(config.seed, int(step), size)[mine]

        def draw(step: Any) -> Any:
            # A pure function of the step: not stateful, so that it may run ahead and in parallel.
            parts = tf.numpy_function(plan, [step], (tf.int64, tf.int64, tf.int32), stateful=False)
            return tuple(tf.ensure_shape(p, s) for p, s in zip(parts, ([own], [own], [own, 4]), strict=True))

        steps = tf.data.Dataset.range(step, np.iinfo(np.int64).max)
        return _in_order(steps.map(draw), self._make(own))

    def _make(self, rows: int) -> Any:
        """What makes a batch of so many rows, traced once."""
        if rows not in self._made:

            def make(audio_rows: Any, image_rows: Any, seeds: Any) -> dict[str, Any]:
                return _batch(
                    self._readers, self._config, audio_rows, image_rows, seeds if self._augment else None
                )

            row, seed = tf.TensorSpec([rows], tf.int64), tf.TensorSpec([rows, 4], tf.int32)
            self._made[rows] = tf.function(make, autograph=False).get_concrete_function(row, row, seed)
        traced = self._made[rows]
        return lambda *parts: traced(*parts)


def check_batch_size(config: Config, pairs: int) -> None:
    """Refuses batches that hold a pair several times and contrast it with its copies.

    Pairs of items know their copies, which are left out of the negatives; pairs of labels do not.

    Args:
        config: `train.batch_size`, and the losses that contrast pairs.
        pairs: of the training split in an epoch, 0 where it has one modality alone.

    Raises:
        UserError: the batch is larger than the epoch, pairs are of labels, and a loss contrasts them.
    """
    size, by = config.train.batch_size, config.data.pair_by
    contrasted = [key for key in ("contrastive", "code_matching") if getattr(config.loss, key)]
    if size > pairs > 0 and by == "label" and contrasted:
        raise UserError(
            f"train.batch_size={size} is more than the {pairs} pairs of the training split: a pair would "
            f"come several times in a batch, and loss.{contrasted[0]} would contrast it with its copies. Set "
            f"train.batch_size to {pairs} or less, or add data"
        )


def training_batches(
    dataset: Dataset,
    config: Config,
    split: str = "train",
    start_step: int = 0,
    augment: bool = True,
    part: Part = WHOLE,
    alone: Literal["audio", "image"] | None = None,
) -> tf.data.Dataset:
    """Batches that are asked for once: `TrainingBatches` opened and read from `start_step` on."""
    return TrainingBatches(dataset, config, split, augment, alone).starting_at(start_step, part)


def paired_evaluation_batches(
    dataset: Dataset, config: Config, split: str, batch_size: int
) -> tf.data.Dataset:
    """One epoch of pairs, always the same, whatever the seed; the last batch may be short.

    Not augmented. Batches as in the module's description, and `audio_row`, `audio_item`, `audio_label`,
    `image_row`, `image_item`, `image_label` i64[B]: which record it is, its item and its label, -1
    where missing. An item that has fewer of one modality comes several times; its rows say so.

    Raises:
        UserError: the split is empty, or prepared otherwise than the config says.
    """
    held = _open(dataset, config, split)
    readers = _readers(held, config)
    pairs = pairing_of(held, config.data.pair_by, seed=0).epoch(0)
    groups = [
        {name: np.append(getattr(side, f"{name}s"), -1).astype("int64") for name in ("item", "label")}
        for side in held
    ]

    def make(audio_rows: Any, image_rows: Any) -> dict[str, Any]:
        found = _batch(readers, config, audio_rows, image_rows, None)
        for modality, rows, columns in zip(("audio", "image"), (audio_rows, image_rows), groups, strict=True):
            found[f"{modality}_row"] = rows
            for name, column in columns.items():
                place = tf.where(rows < 0, np.int64(len(column) - 1), rows)
                found[f"{modality}_{name}"] = tf.gather(tf.constant(column), place)
        return found

    return _in_order(tf.data.Dataset.from_tensor_slices(tuple(pairs)).batch(batch_size), make)


def evaluation_batches(
    dataset: Dataset,
    config: Config,
    split: str,
    modality: Literal["audio", "image"],
    batch_size: int,
) -> tf.data.Dataset:
    """Every recording or every picture of a split once, in stored order, not augmented.

    Returns:
        Batches ``{modality: f32[B, ...], "id": str[B], "label": i32[B], "item": i64[B]}``,
        none where the split has no such records; the last may be short.

    Raises:
        UserError: the split is empty, or prepared otherwise than the config says.
    """
    held = _open(dataset, config, split)
    audio = modality == "audio"
    records = held.recordings if audio else held.pictures
    readers = _readers(_alone(held, modality), config)
    side = 0 if audio else 1
    items = tf.constant(records.items)

    def make(rows: Any) -> dict[str, Any]:
        values = readers.audio(rows, tf.zeros(tf.shape(rows))) if audio else readers.image(rows)
        return {
            modality: values,
            "id": readers.ids[side](rows),
            "label": readers.labels[side](rows),
            "item": tf.gather(items, rows),
        }

    return _in_order(tf.data.Dataset.range(len(records)).batch(batch_size), make)


class _Readers(NamedTuple):
    """Functions from rows (negative: missing) to values; `ids`, `labels` and `items` of
    recordings, of pictures."""

    audio: AudioReader
    image: ImageReader
    ids: list[Callable[[Any], Any]]
    labels: list[Callable[[Any], Any]]
    items: list[Callable[[Any], Any]]


def _open(dataset: Dataset, config: Config, name: str) -> Split:
    dataset.check(config)
    split = dataset.split(name)
    if not len(split.recordings) and not len(split.pictures):
        raise UserError(f"split {name!r} is empty; choose another, or prepare data that has it")
    return split


def _readers(split: Split, config: Config) -> _Readers:
    data = config.data
    cached = decoded_bytes(split, data.image) <= data.cache_mib * 2**20
    return _Readers(
        audio_reader(split.recordings, data.audio.samples, cached),
        image_reader(split.pictures, data.image, cached),
        [_column(side.ids.tolist(), b"") for side in split],
        [_column(side.labels.astype(np.int32).tolist(), -1) for side in split],
        [_column(list(side.items.astype(np.int64)), np.int64(-1)) for side in split],
    )


def _batch(readers: _Readers, config: Config, audio_rows: Any, image_rows: Any, seeds: Any) -> dict[str, Any]:
    audio_mask, image_mask = audio_rows >= 0, image_rows >= 0
    jitter = tf.zeros(tf.shape(audio_rows))
    if seeds is not None:
        jitter = drawn(seeds[:, :2], [Stream(WINDOW_STREAM, [])])[WINDOW_STREAM] - 0.5
    audio, image = readers.audio(audio_rows, jitter), readers.image(image_rows)
    if seeds is not None:
        audio = augment_audio(audio, seeds[:, :2], config.augment.audio, config.data.audio.sample_rate)
        image = augment_image(image, seeds[:, 2:], config.augment.image)
        audio = tf.where(audio_mask[:, None], audio, 0.0)
        image = tf.where(image_mask[:, None, None, None], image, 0.0)
    label, other = readers.labels[0](audio_rows), readers.labels[1](image_rows)
    joint = tf.where(audio_mask & image_mask, b"+", b"")
    items = {}
    if config.data.pair_by == "item":
        items["item"] = tf.maximum(readers.items[0](audio_rows), readers.items[1](image_rows))
    return {
        "audio": audio,
        "image": image,
        "audio_mask": audio_mask,
        "image_mask": image_mask,
        "id": readers.ids[0](audio_rows) + joint + readers.ids[1](image_rows),
        "label": tf.where(label >= 0, label, other),
        **items,
    }


def _column(values: list[Any], absent: Any) -> Callable[[Any], Any]:
    """Makes the function that reads rows of a column, `absent` where they are negative."""
    column = tf.constant([*values, absent])
    return lambda rows: tf.gather(column, tf.where(rows < 0, np.int64(len(values)), rows))


def _alone(split: Split, modality: Literal["audio", "image"]) -> Split:
    """The split with one modality: the other one is left out before it is decoded."""
    other = "pictures" if modality == "audio" else "recordings"
    return split._replace(**{other: _none(getattr(split, other))})


def _none(records: Records) -> Records:
    """No records."""
    none = {name: getattr(records, name)[:0] for name in records.__dataclass_fields__}
    return Records(**none)


def fixed_order() -> tf.data.Options:
    """Options of a pipeline whose batches come in order, by as many threads as it says itself.

    Without autotuning: the thread that tunes wakes up so seldom that an iterator which is
    dropped keeps its process waiting for up to a minute.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return options


def _in_order(data: tf.data.Dataset, make: Any) -> tf.data.Dataset:
    options = fixed_order()
    make = tf.autograph.experimental.do_not_convert(make)  # holds no Python branches on tensors
    batches = data.map(make, num_parallel_calls=joblib.cpu_count(), deterministic=True)
    return batches.prefetch(PREFETCH).with_options(options)
