"""What is written is what is read; a folder that is not as `prepare` left it is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import Config, check_config
from vqmm.data.records import Dataset
from vqmm.data.shards import Record, encode_record, read_shard, shard_name
from vqmm.errors import UserError

RECORD = Record("é/1", 2**40, -1, bytes(range(256)), "a “cat”", 16_000, {"language": "zh-tw", "kind": "ü"})


def test_a_shard_gives_back_its_records_and_is_plain_tf_examples(tmp_path: Path) -> None:
    path = tmp_path / shard_name("audio", "train", 0, 3)
    assert path.name == "audio-train-00000-of-00003.tfrecord"
    records = [RECORD, RECORD._replace(id="b", item=0, extra={})]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(encode_record(record))
    assert read_shard(path) == records
    raw = next(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    feature = tf.train.Example.FromString(raw).features.feature
    assert set(feature) == {"id", "item", "label", "data", "caption", "length", "extra"}
    assert feature["label"].int64_list.value[0] == -1 and feature["data"].bytes_list.value[0] == RECORD.data


def test_an_empty_shard_is_empty(tmp_path: Path) -> None:
    tf.io.TFRecordWriter(str(tmp_path / "a")).close()
    assert read_shard(tmp_path / "a") == []


def test_a_split_is_read_in_stored_order(tiny_data: Dataset) -> None:
    recordings, pictures = Dataset.open(tiny_data.folder).split("validation")
    assert recordings.ids.tolist() == [f"validation{n}.wav" for n in range(8)]
    assert len(recordings) == len(pictures) == 8
    assert recordings.labels.tolist() == recordings.items.tolist() == [0, 1, 2, 3] * 2
    assert recordings.items.dtype == np.int64 and recordings.ids.dtype == object
    assert recordings.lengths.tolist() == [900 + 20 * n for n in range(8)]
    assert pictures.data[0].startswith(b"\x89PNG") and recordings.data[0].startswith(b"RIFF")


def test_an_unknown_split_and_a_damaged_shard_are_refused(tiny_data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown split 'valid'"):
        tiny_data.split("valid")
    folder = tmp_path / "copy"
    shutil.copytree(tiny_data.folder, folder)
    shard = folder / shard_name("image", "test", 0, 1)
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 1
    shard.write_bytes(raw)
    with pytest.raises(UserError, match="image-test.*is damaged"):
        Dataset.open(folder).split("test")
    shard.unlink()
    with pytest.raises(UserError, match="image-test.*is missing"):
        Dataset.open(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no dataset.json: it was not prepared"),
        ("{", "cannot be read"),
        ('{"format_version": 99}', "format_version=99; this vqmm reads 1"),
        ('{"format_version": 1}', "is damaged"),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(UserError, match=message):
        Dataset.open(tmp_path)


def test_a_config_that_wants_other_data_is_refused_with_the_difference(
    tiny_data: Dataset, tiny_config: Config
) -> None:
    tiny_data.check(tiny_config)
    tree = tiny_config.model_dump(mode="json")
    tree["data"]["audio"]["samples"] = 512  # cut in the batches: no matter
    tree["data"]["audio"]["stored_as"] = "flac"  # the samples are the same: no matter
    tiny_data.check(check_config(tree))
    tree["data"]["audio"]["sample_rate"] = 4_000
    tree["data"]["image"]["trim"] = True
    with pytest.raises(UserError) as caught:
        tiny_data.check(check_config(tree))
    assert "data.audio.sample_rate=2000, the config says 4000" in str(caught.value)
    assert "data.image.trim=False, the config says True" in str(caught.value)


def test_dataset_json_says_what_the_design_names(tiny_data: Dataset) -> None:
    tree = json.loads((tiny_data.folder / "dataset.json").read_text())
    counts = {"pairs_items": 4, "recordings": 8, "pictures": 8}
    assert tree["counts"] == {"train": counts | {"recordings": 24, "pictures": 24}} | {
        "validation": counts,
        "test": counts,
    }
    assert (tree["recordings"], tree["pictures"]) == (40, 40)
    assert (tree["pair_by"], tree["label_supervision"]) == ("label", True)
    assert tree["labels"] == ["0", "1", "2", "3"]
    assert tree["spec"]["audio"]["sample_rate"] == 2000 and tree["spec"]["image"]["height"] == 16
