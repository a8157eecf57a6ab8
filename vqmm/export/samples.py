"""Some items of prepared data, as the model takes them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vqmm.config import Config
from vqmm.data.readers import audio_reader, image_reader
from vqmm.data.records import Dataset, Records
from vqmm.errors import UserError


def sample_items(dataset: Dataset, config: Config, split: str, count: int) -> dict[str, npt.NDArray[Any]]:
    """Draws items of a split, the same ones each time.

    Args:
        dataset: prepared data.
        config: of the run.
        split: name of the split.
        count: items of each modality; all where there are no more.

    Returns:
        By modality, recordings f32[n, samples] and pictures f32[n, H, W, C]; without the modality
        that the split lacks.

    Raises:
        UserError: the split is not there or empty, or was prepared otherwise than the config says.
    """
    dataset.check(config)
    recordings, pictures = (_draw(records, count) for records in dataset.split(split))
    found = {}
    if len(recordings):
        hear = audio_reader(recordings, config.data.audio.samples, cached=True)
        rows = tf.range(len(recordings), dtype=tf.int64)
        found["audio"] = hear(rows, tf.zeros(len(recordings))).numpy()
    if len(pictures):
        see = image_reader(pictures, config.data.image, cached=True)
        found["image"] = see(tf.range(len(pictures), dtype=tf.int64)).numpy()
    if not found:
        raise UserError(f"split {split!r} of {dataset.folder} is empty; choose data that has items in it")
    return found


def _draw(records: Records, count: int) -> Records:
    rows = np.sort(np.random.default_rng(0).permutation(len(records))[:count])
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(records):
        column = getattr(records, field.name)
        picked = column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows]
        columns[field.name] = picked
    return Records(**columns)
