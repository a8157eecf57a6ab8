"""MNIST x spoken_digit, on the loader's own fake data: no network."""

from __future__ import annotations

import csv
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from vqmm.data.manifest import read_manifest
from vqmm.data.sources.tfds import write_tfds
from vqmm.errors import UserError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's imports
    import tensorflow_datasets as tfds


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_writes_what_the_loader_gives(tmp_path: Path) -> None:
    with tfds.testing.mock_data(num_examples=12):
        rows = _rows(write_tfds(tmp_path, 0))
        clips = list(tfds.as_numpy(tfds.load("spoken_digit", split="train")))
        digits = list(tfds.as_numpy(tfds.load("mnist", split="test")))
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows) == 36
    for number, clip in enumerate(clips):
        row = by_id[f"spoken-{number:05d}"]
        samples, rate = soundfile.read(tmp_path / row["audio"], dtype="int16")
        assert rate == 8000 and row["label"] == str(clip["label"])
        np.testing.assert_array_equal(samples, clip["audio"])
    for number, digit in enumerate(digits):
        row = by_id[f"mnist-test-{number:05d}"]
        assert row["split"] == "test" and row["label"] == str(digit["label"])
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / row["image"])), digit["image"][..., 0])
    assert len(read_manifest(tmp_path / "manifest.csv")) == 36


def test_speakers_are_in_one_split_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    clip = np.arange(400, dtype=np.int64)
    clips = [
        {"audio": clip, "label": digit, "audio/filename": f"{digit}_{who}_{take}.wav".encode()}
        for who in people
        for digit in range(10)
        for take in range(2)
    ]
    digits = [{"image": np.full((28, 28, 1), i, np.uint8), "label": i % 10} for i in range(200)]
    monkeypatch.setattr(tfds, "load", lambda name, split: _Fixed(clips if name == "spoken_digit" else digits))
    monkeypatch.setattr(tfds, "as_numpy", lambda data: data)
    rows = _rows(write_tfds(tmp_path, 1))
    spoken = {
        split: {r["speaker"] for r in rows if r["split"] == split and r["audio"]}
        for split in ("train", "validation", "test")
    }
    assert [len(spoken[split]) for split in ("train", "validation", "test")] == [4, 1, 1]
    assert set.union(*spoken.values()) == set(people)
    held_out = [row for row in rows if row["image"] and row["split"] == "validation"]
    assert 5 <= len(held_out) <= 35
    assert all("train" in row["id"] for row in held_out)


class _Fixed(list[Any]):
    def take(self, count: int) -> _Fixed:
        return self if count < 0 else _Fixed(self[:count])


def test_limit(tmp_path: Path) -> None:
    with tfds.testing.mock_data(num_examples=10):
        rows = _rows(write_tfds(tmp_path, 0, limit=4))
    assert len(rows) == 12


def test_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match=r"pip install 'vqmm\[tfds\]'"):
        write_tfds(tmp_path, 0)


def test_no_network_is_the_users_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("name resolution failed")

    monkeypatch.setattr(tfds, "load", refuse)
    with pytest.raises(UserError, match="could not fetch 'spoken_digit': name resolution failed"):
        write_tfds(tmp_path, 0)
    assert not (tmp_path / "manifest.csv").exists()
