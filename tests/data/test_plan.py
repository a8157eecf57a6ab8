"""What becomes which record, on a manifest small enough to say by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqmm.config import Data
from vqmm.data.manifest import read_manifest
from vqmm.data.plan import Plan, plan_shards
from vqmm.errors import UserError


def _plan(folder: Path, data: Data, *lines: str) -> Plan:
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    return plan_shards(read_manifest(folder / "m.csv"), folder, data)


def test_a_file_is_stored_once_with_the_ids_and_numbers_it_should_have(tmp_path: Path) -> None:
    plan = _plan(
        tmp_path,
        Data(records_per_shard=2),
        "audio,image,id,split,label,caption,language",
        "1.wav,x.png,one,train,10,,en",
        "2.wav,x.png,two,train,10,a cat,fr",
        "3.wav,,,train,9,,",
        "4.wav,y.png,four,test,,,",
    )
    assert [shard.name for shard in plan.shards] == [
        "audio-train-00000-of-00002.tfrecord",
        "audio-train-00001-of-00002.tfrecord",
        "audio-test-00000-of-00001.tfrecord",
        "image-train-00000-of-00001.tfrecord",
        "image-test-00000-of-00001.tfrecord",
    ]
    entries = [entry for shard in plan.shards for entry in shard.entries]
    assert [entry.id for entry in entries] == ["one", "two", "3.wav", "four", "x.png", "four"]
    assert plan.labels == ["9", "10"]
    assert [entry.label for entry in entries] == [1, 1, 0, -1, 1, -1]
    items = [entry.item for entry in entries]
    assert items[0] == items[1] == items[4] and items[3] == items[5] and len(set(items)) == 3
    picture = entries[4]
    assert (picture.rows, picture.caption, picture.extra) == ((1, 2), "a cat", {"language": "en"})


def test_pairing_by_label_makes_the_label_the_item_and_leaves_the_unlabelled_alone(tmp_path: Path) -> None:
    plan = _plan(
        tmp_path,
        Data(pair_by="label"),
        "audio,image,split,label",
        "1.wav,,train,b",
        ",x.png,train,b",
        "2.wav,,train,a",
        "3.wav,y.png,train,",
    )
    entries = {entry.id: entry for shard in plan.shards for entry in shard.entries}
    assert entries["1.wav"].item == entries["x.png"].item == 1 and entries["2.wav"].item == 0
    assert sorted(entries[name].item for name in ("3.wav", "y.png")) == [2, 3]


def test_a_file_in_two_splits_stands_in_both(tmp_path: Path) -> None:
    plan = _plan(tmp_path, Data(), "audio,image,split", "1.wav,x.png,train", "2.wav,x.png,test")
    pictures = [shard for shard in plan.shards if shard.modality == "image"]
    assert [(shard.split, shard.entries[0].id) for shard in pictures] == [
        ("train", "x.png"),
        ("test", "x.png"),
    ]


def test_an_id_that_is_anothers_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'b.wav' of row 1 or 2 is also the path"):
        _plan(tmp_path, Data(), "audio,image,id,split", "a.wav,,b.wav,train", "b.wav,y.png,,train")


def test_a_record_has_every_caption_of_its_rows_once(tmp_path: Path) -> None:
    plan = _plan(
        tmp_path,
        Data(),
        "audio,image,caption,split",
        "1.wav,x.png,a cat,train",
        "1.wav,x.png,the cat sleeps,train",
        "2.wav,x.png,a cat,train",
        "3.wav,x.png,,train",
    )
    captions = {entry.id: entry.caption for shard in plan.shards for entry in shard.entries}
    both = "a cat\nthe cat sleeps"
    assert captions == {"1.wav": both, "2.wav": "a cat", "3.wav": "", "x.png": both}
