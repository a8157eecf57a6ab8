"""The TFRecord shards: one record is one recording or one picture."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

Modality = Literal["audio", "image"]

SPLITS = ("train", "validation", "test")
MODALITIES: tuple[Modality, ...] = ("audio", "image")
OTHER: dict[str, Modality] = {"audio": "image", "image": "audio"}
NO_LABEL = -1


class Record(NamedTuple):
    """One recording or one picture, as stored.

    Attributes:
        id: unique among the recordings (or pictures) of a split.
        item: recordings and pictures of one item are views of one thing.
        label: row of `Dataset.labels`, -1 unknown.
        data: WAV or FLAC (16-bit mono at the spec's rate), or PNG.
        caption: what the manifest says, a line for each of several captions; "" where there is none.
        length: samples; 0 for a picture.
        extra: further columns of the manifest.
    """

    id: str
    item: int
    label: int
    data: bytes
    caption: str = ""
    length: int = 0
    extra: dict[str, str] = {}


def shard_name(modality: str, split: str, index: int, count: int) -> str:
    """`audio-train-00000-of-00003.tfrecord`."""
    return f"{modality}-{split}-{index:05d}-of-{count:05d}.tfrecord"


def is_shard_name(name: str) -> bool:
    """Returns whether `shard_name` may have made it."""
    modalities, splits = "|".join(MODALITIES), "|".join(SPLITS)
    return re.fullmatch(rf"({modalities})-({splits})-\d{{5,}}-of-\d{{5,}}\.tfrecord", name) is not None


def encode_record(record: Record) -> bytes:
    """Serialises a record as a tf.train.Example, the same bytes for the same record."""
    import tensorflow as tf

    def of(value: str | bytes | int) -> Any:
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        raw = value.encode() if isinstance(value, str) else value
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[raw]))

    values = record._asdict() | {"extra": json.dumps(record.extra, sort_keys=True, ensure_ascii=False)}
    features = tf.train.Features(feature={key: of(value) for key, value in values.items()})
    return tf.train.Example(features=features).SerializeToString(deterministic=True)


def read_shard(path: str | Path) -> list[Record]:
    """Reads all records of one shard, in stored order."""
    import tensorflow as tf

    text, number = tf.io.FixedLenFeature([], tf.string), tf.io.FixedLenFeature([], tf.int64)
    form = {
        "id": text,
        "item": number,
        "label": number,
        "data": text,
        "caption": text,
        "length": number,
        "extra": text,
    }
    raw = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    if not raw:
        return []
    columns = {key: value.numpy() for key, value in tf.io.parse_example(raw, form).items()}
    return [
        Record(
            id=columns["id"][i].decode(),
            item=int(columns["item"][i]),
            label=int(columns["label"][i]),
            data=columns["data"][i],
            caption=columns["caption"][i].decode(),
            length=int(columns["length"][i]),
            extra=json.loads(columns["extra"][i]),
        )
        for i in range(len(raw))
    ]


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
