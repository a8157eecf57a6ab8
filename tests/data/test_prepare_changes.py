"""Files that change behind a manifest: found, made again, never mixed, nothing lost."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import vqmm.data.file_hashes as file_hashes
from vqmm.config import Config, check_config
from vqmm.data import shard_writer
from vqmm.data.file_hashes import hash_files
from vqmm.data.prepare import Prepared, prepare
from vqmm.data.records import Dataset
from vqmm.errors import UserError

COUNT = 12
SIZE = 8
SPEC = {"audio": {"sample_rate": 4_000}, "image": {"height": SIZE, "width": SIZE, "channels": 1}}
Prepare = Callable[..., Prepared]


def config(**data: object) -> Config:
    return check_config({"data": SPEC | {"records_per_shard": 4, "max_rejected": 1.0} | data})


def picture(path: Path, level: int) -> None:
    """A flat picture, whose level is asked for again in the shards."""
    Image.fromarray(np.full((SIZE, SIZE), level, np.uint8)).save(path)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["audio,image,split"]
    for number in range(COUNT):
        soundfile.write(folder / f"{number}.wav", 0.2 * rng.standard_normal(400), 4_000)
        picture(folder / f"{number}.png", 10 * number)
        lines.append(f"{number}.wav,{number}.png,train")
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def run(manifest: Path, tmp_path: Path) -> Prepare:
    def call(out: str = "out", **more: object) -> Prepared:
        return prepare(manifest, config(), tmp_path / out, workers=1, progress=False, **more)  # type: ignore[arg-type]

    return call


def levels(folder: Path) -> dict[str, int]:
    """Each picture's level, as it is stored."""
    pictures = Dataset.open(folder).split("train").pictures
    return {
        str(name): int(np.asarray(Image.open(io.BytesIO(data))).max())
        for name, data in zip(pictures.ids, pictures.data, strict=True)
    }


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_changed_file_is_found_and_its_shard_alone_is_made_again(
    manifest: Path, tmp_path: Path, run: Prepare
) -> None:
    first = run()
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    picture(manifest.parent / "5.png", 200)
    again = run()
    assert levels(tmp_path / "out")["5.png"] == 200
    made = {n for n, t in times.items() if (tmp_path / "out" / n).stat().st_mtime_ns != t}
    assert made == {"image-train-00001-of-00003.tfrecord"}
    assert (again.changes.changed, again.made, again.reused) == (["5.png"], 1, 5)
    assert again.dataset.checksum != first.dataset.checksum
    run("whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
    assert run().made == 0


def test_a_change_that_keeps_size_and_time_is_found_too(manifest: Path, tmp_path: Path, run: Prepare) -> None:
    path = manifest.parent / "5.png"
    run()
    before, size = path.stat(), path.stat().st_size
    data = np.full((SIZE, SIZE), 50, np.uint8)
    for level in range(51, 256):  # another picture of as many bytes
        data[:] = level
        Image.fromarray(data).save(path)
        if path.stat().st_size == size:
            break
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (size, before.st_mtime_ns)
    run()
    assert levels(tmp_path / "out")["5.png"] == level


def test_equal_content_with_other_times_changes_nothing_and_is_read_once(
    manifest: Path, tmp_path: Path, run: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    os.utime(manifest.parent / "5.png")
    read = []
    real = file_hashes.file_sha256
    monkeypatch.setattr(file_hashes, "file_sha256", lambda path: read.append(path.name) or real(path))
    again = run()
    assert again.dataset.checksum == first.dataset.checksum and again.made == 0
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")} == before
    assert [name for name in read if not name.endswith(".tfrecord")] == ["5.png"]
    read.clear()
    run()
    assert not [name for name in read if not name.endswith(".tfrecord")]


def test_a_mended_file_is_picked_up(manifest: Path, tmp_path: Path, run: Prepare) -> None:
    path = manifest.parent / "5.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    (manifest.parent / "6.wav").rename(tmp_path / "6.wav")
    assert run().rejected == 2
    path.write_bytes(whole)
    (tmp_path / "6.wav").rename(manifest.parent / "6.wav")
    done = run()
    assert done.rejected == 0 and sorted(done.changes.changed) == ["5.png", "6.wav"]
    assert len((tmp_path / "out" / "rejected.csv").read_text().splitlines()) == 1
    run("whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_a_resumed_run_does_not_mix_old_and_new_content(
    manifest: Path, tmp_path: Path, run: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = shard_writer.encode_record, []

    def breaks(record: object) -> bytes:
        calls.append(record)
        if len(calls) == 22:
            raise KeyboardInterrupt
        return real(record)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer, "encode_record", breaks)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert len(list((tmp_path / "out").glob("image*.tfrecord"))) == 2
    picture(manifest.parent / "0.png", 200)
    picture(manifest.parent / "11.png", 210)
    done = run()
    found = levels(tmp_path / "out")
    assert (found["0.png"], found["11.png"]) == (200, 210)
    assert done.reused == 4  # three of sound, and the one of pictures in which nothing changed
    run("whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_a_file_that_changes_while_it_is_prepared_stops_it(
    manifest: Path, tmp_path: Path, run: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shard_writer.encode_record

    def changes(record: object) -> bytes:
        picture(manifest.parent / "3.png", 201)
        return real(record)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer, "encode_record", changes)
        with pytest.raises(UserError, match=r"3\.png changed while the data was prepared"):
            run()
    assert not (tmp_path / "out" / "dataset.json").exists()
    run()
    assert levels(tmp_path / "out")["3.png"] == 201


def test_files_that_are_gone_lose_nothing(manifest: Path, tmp_path: Path, run: Prepare) -> None:
    first = run()
    held = bytes_of(tmp_path / "out")
    for path in manifest.parent.glob("*.wav"):
        path.unlink()
    again = run()
    assert len(again.changes.gone) == COUNT and again.made == 0
    assert again.dataset.checksum == first.dataset.checksum
    picture(manifest.parent / "5.png", 200)
    with pytest.raises(UserError, match="12 of the files .* cannot be read any more .*--force"):
        run()
    assert bytes_of(tmp_path / "out") == held
    done = run(force=True)
    assert done.rejected == COUNT and done.dataset.counts["train"]["recordings"] == 0


def test_a_shard_that_is_missing_or_damaged_is_made_again(tmp_path: Path, run: Prepare) -> None:
    run()
    held = bytes_of(tmp_path / "out")
    damaged, missing = sorted((tmp_path / "out").glob("*.tfrecord"))[:2]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    missing.unlink()
    assert run().made == 2 and bytes_of(tmp_path / "out") == held


def test_force_makes_all_anew_and_leaves_no_shard_of_another_plan(
    manifest: Path, tmp_path: Path, run: Prepare
) -> None:
    first = run()
    stamps = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.tfrecord")}
    again = run(force=True)
    assert again.made == 6 and again.dataset.checksum == first.dataset.checksum
    assert all((tmp_path / "out" / name).stat().st_mtime_ns != time for name, time in stamps.items())
    manifest.write_text("\n".join(manifest.read_text().splitlines()[:3]) + "\n")
    with pytest.raises(UserError, match="holds data made from manifest=.*--force"):
        run()
    assert run(force=True).dataset.counts["train"]["recordings"] == 2
    assert len(list((tmp_path / "out").glob("*.tfrecord"))) == 2


def test_a_folder_of_an_earlier_version_is_kept_and_that_is_said(
    manifest: Path, tmp_path: Path, run: Prepare
) -> None:
    run()
    (tmp_path / "out" / "made_from.json").unlink()
    picture(manifest.parent / "5.png", 200)
    done = run()
    assert not done.changes.known and levels(tmp_path / "out")["5.png"] == 50
    assert run(force=True).changes.known and levels(tmp_path / "out")["5.png"] == 200


def test_beam_makes_changed_shards_again_as_the_local_runner_does(
    manifest: Path, tmp_path: Path, run: Prepare
) -> None:
    pytest.importorskip("apache_beam")
    run(beam=[])
    picture(manifest.parent / "5.png", 200)
    assert run(beam=[]).made == 1
    run("whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_what_cannot_be_hashed_has_no_hash(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    paths = [tmp_path / "pipe", tmp_path / "absent", tmp_path]
    assert hash_files(paths) == dict.fromkeys(paths)
