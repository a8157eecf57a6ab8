"""Shards: the same bytes every time, resumed, never mixed, never half-written."""

from __future__ import annotations

import csv
import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

import vqmm.data.prepare as module
from vqmm.config import Config, check_config
from vqmm.data import shard_writer
from vqmm.data.prepare import prepare
from vqmm.errors import UserError

COUNT = 30


def _config(**data: object) -> Config:
    audio, image = {"sample_rate": 4_000}, {"height": 12, "width": 12, "channels": 1}
    return check_config({"data": {"audio": audio, "image": image, "records_per_shard": 8} | data})


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["audio,image"]
    for number in range(COUNT):
        soundfile.write(folder / f"{number}.wav", 0.2 * rng.standard_normal(800), 8_000)
        Image.fromarray(rng.integers(0, 255, (12, 12), np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.wav,{number}.png")
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def tree_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_bytes_do_not_depend_on_workers_and_do_on_the_seed(manifest: Path, tmp_path: Path) -> None:
    config = _config()
    for workers in (1, 2):
        prepare(manifest, config, tmp_path / f"{workers}", workers=workers, progress=False)
    first = tree_of(tmp_path / "1")
    assert first == tree_of(tmp_path / "2")
    assert sum(name.endswith(".tfrecord") for name in first) >= 2 * -(-COUNT // 8)
    prepare(manifest, config.model_copy(update={"seed": 1}), tmp_path / "other", workers=1, progress=False)
    assert tree_of(tmp_path / "other") != first


def test_counts_splits_and_pairs(manifest: Path, tmp_path: Path) -> None:
    lines = [f"{n}.wav,{n}.png,{('test', 'validation')[n // 3] if n < 6 else 'train'}" for n in range(COUNT)]
    manifest.write_text("\n".join(["audio,image,split", *lines]) + "\n")
    done = prepare(manifest, _config(), tmp_path / "out", workers=1, progress=False)
    assert {split: count["pairs_items"] for split, count in done.dataset.counts.items()} == {
        "train": 24,
        "validation": 3,
        "test": 3,
    }
    recordings, pictures = done.dataset.split("train")
    assert recordings.items.tolist() == pictures.items.tolist()
    assert (done.rows, done.rejected, done.dataset.label_supervision) == (COUNT, 0, False)


def test_rows_that_are_added_move_no_others_and_copies_stay_together(manifest: Path, tmp_path: Path) -> None:
    def splits(out: str) -> dict[str, str]:
        dataset = prepare(manifest, _config(), tmp_path / out, workers=1, progress=False).dataset
        return {name: split for split in dataset.counts for name in dataset.split(split).pictures.ids}

    before = splits("before")
    rng = np.random.default_rng(1)
    lines = manifest.read_text().splitlines()
    for number in range(COUNT):  # a copy of each under another name, and as many new ones
        for suffix in ("wav", "png"):
            shutil.copy(manifest.parent / f"{number}.{suffix}", manifest.parent / f"copy{number}.{suffix}")
        Image.fromarray(rng.integers(0, 255, (12, 12), np.uint8)).save(manifest.parent / f"new{number}.png")
        lines += [f"copy{number}.wav,copy{number}.png", f",new{number}.png"]
    manifest.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    after = splits("after")
    assert {name: after[name] for name in before} == before
    assert all(after[f"copy{number}.png"] == after[f"{number}.png"] for number in range(COUNT))


def test_an_interrupted_run_goes_on_and_ends_the_same(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prepare(manifest, _config(), tmp_path / "whole", workers=1, progress=False)
    real, calls = shard_writer.encode_record, []

    def breaks(record: object) -> bytes:
        calls.append(record)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(record)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer, "encode_record", breaks)
        with pytest.raises(KeyboardInterrupt):
            prepare(manifest, _config(), out, workers=1, progress=False)
    assert not (out / "dataset.json").exists() and not list(out.glob(".*.part"))
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tfrecord")}
    assert len(kept) == 2
    done = prepare(manifest, _config(), out, workers=1, progress=False)
    assert done.reused == 2
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    assert tree_of(out) == tree_of(tmp_path / "whole")


def test_a_finished_folder_is_left_as_it_is_and_other_data_is_refused(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(manifest, _config(), out, workers=1, progress=False)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    prepare(manifest, _config(), out, workers=1, progress=False)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with pytest.raises(UserError, match="data.image.height=12, now 16; remove it or choose another"):
        image = {"height": 16, "width": 12, "channels": 1}
        prepare(manifest, _config(image=image), out, workers=1, progress=False)
    manifest.write_text(manifest.read_text() + "0.wav,1.png\n")
    with pytest.raises(UserError, match="holds data made from manifest='"):
        prepare(manifest, _config(), out, workers=1, progress=False)


def test_a_folder_in_use_is_refused(manifest: Path, tmp_path: Path) -> None:
    with (
        module.claimed(tmp_path / "out"),
        pytest.raises(UserError, match="is in use by another prepare"),
    ):
        prepare(manifest, _config(), tmp_path / "out", workers=1, progress=False)


def test_bad_files_are_listed_and_their_other_half_is_kept(manifest: Path, tmp_path: Path) -> None:
    folder, out = manifest.parent, tmp_path / "out"
    (folder / "3.png").write_text("text")
    (folder / "5.wav").unlink()
    manifest.write_text(manifest.read_text() + "6.wav,../out.png\n7.wav,3.png\n")
    done = prepare(manifest, _config(max_rejected=0.2), out, workers=1, progress=False)
    with (out / "rejected.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["row"], line["path"]) for line in lines] == [
        ("4", "3.png"),
        ("6", "5.wav"),
        ("31", "../out.png"),
        ("32", "3.png"),
    ]
    assert lines[0]["id"] == "3.wav+3.png" and "none of PNG" in lines[0]["reason"]
    assert done.rejected == 4
    assert sum(count["recordings"] for count in done.dataset.counts.values()) == COUNT - 1
    assert sum(count["pictures"] for count in done.dataset.counts.values()) == COUNT - 1


def test_too_many_bad_files_stop_it_and_mended_ones_let_it_pass(manifest: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "out", manifest.parent / "3.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:40])
    with pytest.raises(UserError, match=r"1 of 30 rows \(3\.3%\) cannot be read, data\.max_rejected=0\.01"):
        prepare(manifest, _config(max_rejected=0.01), out, workers=1, progress=False)
    assert "3.png" in (out / "rejected.csv").read_text() and not (out / "dataset.json").exists()
    picture.write_bytes(whole)
    done = prepare(manifest, _config(max_rejected=0.01), out, workers=1, progress=False)
    assert done.rejected == 0 and done.reused > 0
    prepare(manifest, _config(max_rejected=0.01), tmp_path / "whole", workers=1, progress=False)
    assert tree_of(out) == tree_of(tmp_path / "whole")


def test_nothing_readable_is_an_error_even_where_all_may_be_rejected(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("audio\nabsent.wav\n")
    with pytest.raises(UserError, match="none of the 1 rows can be read.*no such file"):
        prepare(tmp_path / "m.csv", _config(max_rejected=1.0), tmp_path / "out", workers=1, progress=False)


@pytest.mark.parametrize("how", ["of TensorFlow", "of Python"])
def test_a_full_disk_names_the_file_and_leaves_no_half(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """`tests/pipelines/test_prepare_bad_input.py` meets a real limit; here the two kinds of error."""

    def full(*_: object) -> bytes:
        if how == "of TensorFlow":
            raise tf.errors.ResourceExhaustedError(None, None, "x; No space left on device")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shard_writer, "encode_record", full)
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"cannot write .*audio-train-00000-of-00003\.tfrecord: no more room"):
        prepare(manifest, _config(), out, workers=1, progress=False)
    assert [path.name for path in out.iterdir()] == [".prepare"]
