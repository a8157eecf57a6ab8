"""Batches of token sequences for a prior, from the codes of a prepared split."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from vqmm.config import Config, Hiding
from vqmm.data.batches import WHOLE, Part, fixed_order
from vqmm.data.pairing import MISSING, Pairing, pairing_of
from vqmm.data.records import Dataset
from vqmm.encoding import encode_split
from vqmm.models.token_layout import TokenLayout, layout_of
from vqmm.training.hiding import draw_hidden

PREFETCH = 4


class Coded(Protocol):
    """Codes of the items of one modality, as `vqmm.encoding.Encoded` has them."""

    @property
    def labels(self) -> Any: ...

    @property
    def shared(self) -> Any: ...

    @property
    def private(self) -> Any: ...


class TokenTable(NamedTuple):
    """The codes of a split and which of them go together.

    Attributes:
        layout: of the sequence.
        audio, image: codes of all its items; None where it has none of them.
        pairing: of their rows.
    """

    layout: TokenLayout
    audio: Coded | None
    image: Coded | None
    pairing: Pairing

    def sequences(
        self, audio_rows: np.ndarray, image_rows: np.ndarray, from_audio: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sequences of pairs.

        Args:
            audio_rows, image_rows: i64[B], `MISSING` where a pair lacks it.
            from_audio: bool[B], whose shared codes stand for the pair; where it lacks that side,
                the other's.

        Returns:
            Tokens i32[B, T], bool[B, sections] which sections are there, labels i32[B] (-1 unknown).
        """
        parts = self.layout.slices()
        tokens = np.zeros((len(audio_rows), self.layout.length), "int32")
        there = np.ones((len(audio_rows), len(parts)), bool)
        labels = np.full(len(audio_rows), -1, "int32")
        has = {"audio": audio_rows != MISSING, "image": image_rows != MISSING}
        side = np.where(has["audio"] & has["image"], from_audio, has["audio"])
        for name, rows, own in (("audio", audio_rows, side), ("image", image_rows, ~side)):
            held: Coded | None = getattr(self, name)
            if name in parts:
                there[:, self.layout.names.index(name)] = has[name]
            if held is None:
                continue
            tokens[own, parts["shared"]] = held.shared[rows[own]]
            labels[own] = held.labels[rows[own]]
            if name in parts and held.private is not None:
                tokens[has[name], parts[name]] = held.private[rows[has[name]]]
        return tokens, there, labels


def token_table(model: Any, dataset: Dataset, config: Config, split: str, seed: int) -> TokenTable:
    """Encodes a split once.

    Args:
        model: tokenizer.
        dataset: prepared data.
        config: of the tokenizer's run.
        split: name of the split.
        seed: of the pairs.
    """
    held = dataset.split(split)
    audio = encode_split(model, dataset, config, split, "audio") if len(held.recordings) else None
    image = encode_split(model, dataset, config, split, "image") if len(held.pictures) else None
    return TokenTable(layout_of(model), audio, image, pairing_of(held, config.data.pair_by, seed))


def token_batches(
    table: TokenTable,
    hiding: Hiding,
    size: int,
    seed: int,
    start_step: int = 0,
    labelled: float = 0.0,
    part: Part = WHOLE,
) -> tf.data.Dataset:
    """Endless batches for `Prior.train_step`; batch k is a pure function of seed and k.

    Args:
        table: of the split.
        hiding: what is hidden how often.
        size: of a batch.
        seed: of all draws.
        start_step: number of the first batch.
        labelled: how often an item's label is given; 0: never.
        part: rows of each batch that this process gets.
    """
    mine = part.rows(size)

    def draw(step: np.ndarray) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng([seed, int(step)])
        rows = table.pairing.batch(int(step), size)
        tokens, there, labels = table.sequences(*rows, rng.random(size) < 0.5)
        shown = draw_hidden(table.layout, there, hiding, rng)
        given = np.where(rng.random(size) < labelled, labels, -1)
        return tokens, *shown, given.astype("int32")

    def make(step: Any) -> dict[str, Any]:
        kinds = (tf.int32, tf.bool, tf.bool, tf.bool, tf.int32)
        drawn = tf.numpy_function(draw, [step], kinds, stateful=False)
        length, sections = table.layout.length, len(table.layout.sections)
        first = table.layout.sections[0].length
        shapes = ([size, length], [size, length], [size, sections], [size, first], [size])
        fixed = [tf.ensure_shape(part, shape) for part, shape in zip(drawn, shapes, strict=True)]
        names = ("tokens", "hidden", "present", "alone", "label")
        return {name: column[mine] for name, column in zip(names, fixed, strict=True)}

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    batches = steps.map(tf.autograph.experimental.do_not_convert(make), num_parallel_calls=2)
    return batches.prefetch(PREFETCH).with_options(fixed_order())
