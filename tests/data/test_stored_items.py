"""Items of shards are read when they are asked for."""

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.data.shards import Record, encode_record, file_sha256, read_shard
from vqmm.data.stored_items import StoredItems, spans_of

MEBIBYTE = 2**20


def written(path: Path, records: list[Record]) -> Path:
    with tf.io.TFRecordWriter(str(path)) as shard:
        for record in records:
            shard.write(encode_record(record))
    return path


@given(st.lists(st.tuples(st.binary(max_size=40), st.text(max_size=5)), max_size=8))
@settings(max_examples=40)
def test_items_are_those_that_tensorflow_reads(tmp_path_factory, items):
    """Also where an item's bytes come up in its own id or in the framing."""
    records = [Record(text, n, -1, data, caption=text) for n, (data, text) in enumerate(items)]
    shard = written(tmp_path_factory.mktemp("shard") / "a.tfrecord", records)
    read = read_shard(shard)
    held = StoredItems(spans_of(shard, read))
    shard.unlink()  # what is mapped stays
    assert list(held) == [record.data for record in read] == [data for data, _ in items]
    assert held[1:] == [data for data, _ in items][1:] and len(held) == len(items)
    with pytest.raises(IndexError):
        held[len(items)]


def test_another_shards_records_are_refused(tmp_path):
    shard = written(tmp_path / "a.tfrecord", [Record("a", 0, -1, b"one")])
    with pytest.raises(ValueError, match="does not hold record 'a' at byte 0"):
        spans_of(shard, [Record("a", 0, -1, b"two")])


def test_a_split_takes_no_memory_for_its_items(tiny_data, tmp_path):
    """Ten shards of two mebibytes: no more than one at a time is in memory while they are opened."""
    rng, shards = np.random.default_rng(0), {}
    for n in range(10):
        name = f"image-train-{n:05d}-of-00010.tfrecord"
        shards[name] = file_sha256(written(tmp_path / name, [Record(str(n), n, -1, rng.bytes(2 * MEBIBYTE))]))
    large = dataclasses.replace(tiny_data, folder=tmp_path, shards=shards)
    tracemalloc.start()
    try:
        pictures = large.split("train").pictures
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(pictures) == 10 and all(len(data) == 2 * MEBIBYTE for data in pictures.data)
    assert held < MEBIBYTE and peak < 8 * MEBIBYTE
