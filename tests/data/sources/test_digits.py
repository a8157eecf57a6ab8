"""The built-in data: splits without shared voices or writers, the same files for the same seed."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from sklearn.datasets import load_digits

from vqmm.data.sources.digits import WRITER_STARTS, sound_takes, split_voices, write_digits
from vqmm.data.sources.espeak import stock_variants
from vqmm.data.sources.speech import FEATURE_SHAPE, Spoken
from vqmm.errors import UserError


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"), 3, limit=300)


def test_rows_have_one_modality_a_label_and_their_file(written: Path) -> None:
    rows = _rows(written)
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert bool(row["audio"]) != bool(row["image"])
        assert row["label"] in set("0123456789")
        assert (written.parent / (row["audio"] or row["image"])).is_file()
    recordings = [row for row in rows if row["audio"]]
    assert 240 <= len(recordings) <= 300
    assert 140 <= len(rows) - len(recordings) <= 300


def test_no_voice_and_no_writer_is_in_two_splits(written: Path) -> None:
    rows = _rows(written)
    for column in ("voice", "writer"):
        seen = [
            {r[column] for r in rows if r["split"] == s and r[column]}
            for s in ("train", "validation", "test")
        ]
        assert all(seen)
        assert sum(map(len, seen)) == len(set.union(*seen))


def test_all_splits_have_all_digits_of_both_kinds(written: Path) -> None:
    for split in ("train", "validation", "test"):
        for kind in ("audio", "image"):
            labels = {r["label"] for r in _rows(written) if r["split"] == split and r[kind]}
            assert labels == set("0123456789"), (split, kind)


def test_recordings_are_audible_and_of_speech_length(written: Path) -> None:
    for row in _rows(written):
        if row["audio"]:
            samples, rate = soundfile.read(written.parent / row["audio"])
            assert rate == 22_050 and samples.ndim == 1
            assert 0.1 < len(samples) / rate < 4.0
            assert 0.01 < np.abs(samples).max() <= 1.0


def test_pictures_are_the_scans(written: Path) -> None:
    data = load_digits()
    for row in _rows(written)[-50:]:
        index = int(row["id"].removeprefix("scan-"))
        picture = np.asarray(Image.open(written.parent / row["image"]))
        assert picture.shape == (32, 32) and picture.dtype == np.uint8
        assert row["label"] == str(data.target[index])
        blocks = picture.reshape(8, 4, 8, 4).mean(axis=(1, 3)) / 255
        assert np.corrcoef(blocks.ravel(), data.images[index].ravel())[0, 1] > 0.97


def test_writers_begin_where_the_copied_text_begins() -> None:
    text = "".join(map(str, load_digits().target))
    for start in WRITER_STARTS:
        # Every form starts 0..9 twice; one of them lacks its first zero.
        assert text[start:].startswith(("01234567890123456", "12345678901234567"))
        assert text[start + 20 : start + 60].count("0955650989841773") == 1


def test_same_seed_same_files_for_any_number_of_workers(tmp_path: Path) -> None:
    for name, seed, workers in (("a", 5, 1), ("b", 5, 2), ("c", 6, 2)):
        write_digits(tmp_path / name, seed, workers=workers, limit=700)
    assert _digest(tmp_path / "a") == _digest(tmp_path / "b")
    assert _digest(tmp_path / "a") != _digest(tmp_path / "c")


def test_related_stock_voices_stay_together() -> None:
    for seed in range(5):
        split = {voice.name: voice.split for voice in split_voices(seed)}
        assert set(stock_variants()) <= set(split)
        assert len({split[f"robosoft{i}"] for i in ("", *range(2, 9))}) == 1
        assert len({split[name] for name in ("RicishayMax", "RicishayMax2", "RicishayMax3")}) == 1
        counts = {s: list(split.values()).count(s) for s in ("train", "validation", "test")}
        assert counts["train"] > 280 and counts["validation"] >= 25 and counts["test"] >= 40


def test_broken_takes_are_dropped() -> None:
    rng = np.random.default_rng(0)
    words = rng.normal(size=(10, *FEATURE_SHAPE)).astype("f4")

    def take(features: np.ndarray, seconds: float = 0.5, clipped: float = 0.0) -> Spoken:
        full = np.full(10, 1.0, "f4")
        return Spoken([], full * seconds, full * clipped, features)

    good = [take(words + rng.normal(scale=0.3, size=words.shape).astype("f4")) for _ in range(6)]
    kept = sound_takes(
        [
            *good,
            take(words[::-1]),
            take(words, seconds=0.0),
            take(words, clipped=0.5),
            take(words, seconds=9.0),
        ]
    )
    assert all(k.all() for k in kept[:6])
    assert not any(k.any() for k in kept[6:])


def test_limit_that_leaves_a_split_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="limit=3"):
        write_digits(tmp_path, 0, limit=3)
