"""The manifests of tests/cases through each door: `read_manifest`, and the command `prepare`."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from vqmm.commands import cli, prepare
from vqmm.data.manifest import Row, read_manifest
from vqmm.data.records import Dataset
from vqmm.errors import UserError

CASES = Path(__file__).resolve().parents[1] / "cases"


class Right(NamedTuple):
    """The right reading of a manifest: facts of its rows, of its records, or a part of the refusal."""

    rows: dict[str, list[Any]] = {}
    captions: list[str] = [""]
    labels: list[str] = []
    refused: str | None = None
    warned: str = ""


# The two rows of these are equal.
TWICE = "1 rows repeat earlier ones: 2"
RIGHT = {
    "s09_gap.csv": Right(
        {"label": ["3", None, "7"], "id": ["0", "1", "2"], "extra": [{}] * 3, "split": ["train"] * 3},
        captions=[""] * 3,
        labels=["3", "7"],
    ),
    "s09_excel_semicolon.csv": Right({"label": ["7"], "extra": [{}]}, labels=["7"]),
    "s09_excel_unicode.csv": Right(refused="is UTF-16; it is read as UTF-8: save it as 'CSV UTF-8'"),
    "s10_a_struct_bytes.parquet": Right({"image": [None] * 2}, warned=TWICE),
    "s10_b_struct_path.parquet": Right({"image": [None] * 2}, warned=TWICE),
    "s10_c_binary.parquet": Right({"audio": [None] * 2}, warned=TWICE),
    "s10_e_list_of_dates.parquet": Right({"extra": [{"days": '["2024-01-01"]'}]}),
    "s11_u2028.jsonl": Right({"caption": ["a\u2028b"]}, captions=["a\u2028b"]),
    "s11_u0085.jsonl": Right({"caption": ["a\x85b"]}, captions=["a\x85b"]),
    "s11_bad_line5.jsonl": Right(refused="line 5 is not valid JSON"),
    "v5_time.csv": Right({"extra": [{"time": "3"}]}),
    "v5_two_trailing.csv": Right({"split": ["train"], "extra": [{}]}),
    "v5_five_captions.csv": Right(
        {"id": [f"x{n}" for n in range(5)]}, captions=["\n".join(f"caption {n}" for n in range(5))]
    ),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the files that the cases name, and a config."""
    (tmp_path / "c").mkdir()
    for number in range(3):
        shutil.copy(CASES / "s01_v_mono.wav", tmp_path / f"c/{number}.wav")
        shutil.copy(CASES / "s06_a_rgba.png", tmp_path / f"c/{number}.png")
    (tmp_path / "config.yaml").write_text(
        "data:\n  audio: {sample_rate: 8000}\n  image: {height: 16, width: 16, channels: 3}\n"
    )
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch, manifest: Path) -> int | str | None:
    """Runs the command in this process; its exit status."""
    arguments = ("--manifest", manifest, "--config", manifest.with_name("config.yaml"), "--workers", "1")
    out = ("--out", manifest.with_name("out"), "--json")
    monkeypatch.setattr(sys, "argv", ["prepare", *map(str, (*arguments, *out))])
    with pytest.raises(SystemExit) as caught:
        cli.run("prepare", prepare.DESCRIPTION, prepare.EXAMPLES, prepare.add_arguments, prepare.main)
    return caught.value.code


@pytest.mark.parametrize("name", RIGHT)
def test_a_manifest_is_read_right(name: str, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    right = RIGHT[name]
    shutil.copy(CASES / name, place)
    if right.refused is not None:
        with pytest.raises(UserError) as caught:
            read_manifest(place / name)
        assert right.refused in str(caught.value)
        return
    rows = read_manifest(place / name)
    for attribute, values in right.rows.items():
        assert [getattr(row, attribute) for row in rows] == values
    assert not any(row.refused for row in rows)
    assert all(path.is_file() for row in rows for path in (row.audio, row.image) if path is not None)
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert all(right.warned in text for text in warned) and bool(warned) == bool(right.warned)


@pytest.mark.parametrize("name", RIGHT)
def test_the_command_reads_it_right(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = RIGHT[name]
    shutil.copy(CASES / name, place)
    status = command(monkeypatch, place / name)
    printed = capsys.readouterr()
    if right.refused is not None:
        assert status == 2 and printed.out == ""
        (line,) = printed.err.splitlines()
        assert line.startswith("prepare: ") and right.refused in line
        return
    assert status == 0 and len(json.loads(printed.out)["counts"]) == 3
    dataset = Dataset.open(place / "out")
    assert list(dataset.labels) == right.labels
    recordings, pictures = dataset.split("train")
    kept = recordings if len(recordings) else pictures
    assert kept.captions.tolist() == right.captions[: len(kept)]


def test_files_inside_a_parquet_file_are_kept_to_the_last_byte(place: Path) -> None:
    for name, modality in (("s10_a_struct_bytes.parquet", "audio"), ("s10_c_binary.parquet", "image")):
        shutil.copy(CASES / name, place)
        cells = pq.read_table(CASES / name)[modality].to_pylist()
        contents = [cell["bytes"] if isinstance(cell, dict) else cell for cell in cells]
        first: list[Row] = read_manifest(place / name)
        paths = [getattr(row, modality) for row in first]
        assert [path.read_bytes() for path in paths] == contents
        times = [path.stat().st_mtime_ns for path in paths]
        assert read_manifest(place / name) == first  # and nothing is written again
        assert [path.stat().st_mtime_ns for path in paths] == times
