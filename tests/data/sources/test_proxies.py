"""Stand-ins for the world, from tiny packages built here: kinds, labels, and what is said to be missing."""

from __future__ import annotations

import csv
import io
import json
import sys
import tarfile
from collections import Counter
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import soundfile
from PIL import Image
from sklearn.datasets import load_digits

from vqmm.data.manifest import read_manifest
from vqmm.data.sources import debian, proxies, proxy_speech
from vqmm.data.sources.digits import scan_writers, split_writers
from vqmm.data.sources.proxies import write_proxies
from vqmm.data.sources.proxy_pictures import (
    draw_digit,
    frame_by_mass,
    on_paper,
    pen_stroke,
    slant,
    usable_fonts,
)
from vqmm.data.sources.proxy_speech import flite_digits, prompt_digits, stamps_digits

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def _ogg_or_wav(kind: str, rate: int, digit: int) -> bytes:
    times = np.arange(rate // 2) / rate
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.4 * np.sin(2 * np.pi * (200 + 50 * digit) * times), rate, format=kind)
    return buffer.getvalue()


def _package(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    spoken = {f"./a/stamps/symbols/math/{d}{who}.ogg": d for d in range(10) for who in ("", "_en_GB", "_fr")}
    _package(folder / "stamps.tar.gz", {name: _ogg_or_wav("ogg", 11_025, d) for name, d in spoken.items()})
    prompts = {f"./usr/en_US_f_A/digits/{d}.wav": _ogg_or_wav("wav", 8000, d) for d in range(10)}
    prompts |= {"./usr/en_US_f_A/digits/h-3.wav": b"third", "./usr/es/digits/3.wav": b"tres"}
    telephone, clock = proxy_speech.PROMPT_PACKAGES
    _package(folder / f"{telephone}_1_all.deb", prompts)
    hours = {f"./usr/share/saytime/{n}.au": bytes([100 + n] * 4000) for n in range(13)}  # bare mu-law
    _package(folder / f"{clock}_1_amd64.deb", hours)
    _package(folder / "fonts-breip_1_all.deb", {"./f/Sans.ttf": (FONTS / "DejaVuSans.ttf").read_bytes()})
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Path:
    folder = tmp_path_factory.mktemp("proxies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proxies, "_SYSTEM_FONTS", ())
        patch.setattr(proxy_speech.shutil, "which", lambda name: None)
        return write_proxies(folder, 1, tuxpaint=packages / "stamps.tar.gz", packages=packages, fetch=False)


def test_manifest_has_every_kind_and_files_of_it(written: Path) -> None:
    with written.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = Counter(row["proxy"] for row in rows)
    assert counts["human"] == 40 and counts["human-altered"] == 240
    assert counts["scan-centred"] == counts["scan-pen"] == counts["scan-paper"] > 200
    assert counts["hand-font"] == 30 and counts["font"] >= 50
    assert counts["font"] % 10 == 0
    for row in rows:
        assert row["split"] == "test" and row["source"] and row["label"] in set("0123456789")
        assert bool(row["audio"]) != bool(row["image"])
        assert (written.parent / (row["audio"] or row["image"])).is_file()
    assert len(read_manifest(written)) == len(rows)
    assert {p.name for p in written.parent.iterdir()} == {"audio", "images", "manifest.csv", "proxies.json"}


def test_what_is_missing_is_said(written: Path) -> None:
    told = json.loads((written.parent / "proxies.json").read_text())
    assert "flite" in told["left_out"] and "fonts-humor-sans" in told["left_out"]
    assert "fonts-breip" not in told["left_out"] and "tuxpaint" not in told["left_out"]
    assert told["counts"]["human"] == 40


def test_scans_are_those_of_the_test_writers(written: Path) -> None:
    data = load_digits()
    writers, splits = scan_writers(len(data.target)), split_writers(1)
    expected = [int(t) for t, w in zip(data.target, writers, strict=True) if splits[w] == "test"]
    with written.open(encoding="utf-8", newline="") as file:
        centred = [row for row in csv.DictReader(file) if row["proxy"] == "scan-centred"]
    assert [int(row["label"]) for row in centred] == expected
    picture = np.asarray(Image.open(written.parent / centred[0]["image"]))
    assert picture.shape == (28, 28) and picture[0].max() == 0


def test_only_english_digits_are_taken(packages: Path) -> None:
    stamps = stamps_digits(packages / "stamps.tar.gz")
    assert Counter(s.speaker for s in stamps) == {"tuxpaint": 10, "tuxpaint_en_GB": 10}
    prompts = prompt_digits(packages / f"{proxy_speech.PROMPT_PACKAGES[0]}_1_all.deb")
    assert [(s.speaker, s.digit) for s in prompts] == [("en_US_f_A", d) for d in range(10)]
    clock = prompt_digits(packages / f"{proxy_speech.PROMPT_PACKAGES[1]}_1_amd64.deb")
    assert [(s.speaker, s.digit) for s in clock] == [("saytime", d) for d in range(10)]
    assert prompts[0].recording.rate == 8000 and len(prompts[0].recording.samples) == 4000


def test_flite_is_asked_for_every_voice_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "flite"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys, wave\n"
        "if sys.argv[1] == '-lv': print('Voices available: kal slt other'); sys.exit()\n"
        "assert sys.argv[sys.argv.index('-voice') + 1] in ('kal', 'slt')\n"
        "with wave.open(sys.argv[sys.argv.index('-o') + 1], 'wb') as file:\n"
        "    file.setparams((1, 2, 16000, 0, 'NONE', ''))\n"
        "    file.writeframes(b'\\x01\\x02' * 100 * len(sys.argv[sys.argv.index('-t') + 1]))\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(proxy_speech, "FLITE_VOICES", {"kal": 100, "awb": 110})
    monkeypatch.setattr(proxy_speech.shutil, "which", lambda name: str(program))
    spoken = flite_digits()
    assert Counter(s.speaker for s in spoken) == {"flite-kal": 60}
    assert {len(s.recording.samples) for s in spoken if s.digit == 3} == {500}


def test_nothing_at_hand_leaves_out_all_but_scans_and_fonts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "_SYSTEM_FONTS", ())
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    manifest = write_proxies(tmp_path, 0)
    told = json.loads((manifest.parent / "proxies.json").read_text())
    assert set(told["counts"]) == {"scan-centred", "scan-pen", "scan-paper", "font"}
    assert all("no apt-get" in told["left_out"][name] for name in proxy_speech.PROMPT_PACKAGES)
    assert {"tuxpaint", "flite"} <= set(told["left_out"])


def test_framing_puts_the_mass_in_the_middle_of_20_pixels() -> None:
    for digit in range(10):
        framed = frame_by_mass(draw_digit(FONTS / "DejaVuSans.ttf", digit))
        rows, columns = (np.flatnonzero(framed.max(axis=axis) > 0) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
        weights = framed / framed.sum()
        assert abs((weights.sum(axis=1) * np.arange(28)).sum() - 13.5) < 1.1
        assert abs((weights.sum(axis=0) * np.arange(28)).sum() - 13.5) < 1.1


def test_pens_and_paper() -> None:
    scan = load_digits().images[0].astype(np.float32) / 16
    thin, normal, thick = (pen_stroke(scan, weight).sum() for weight in (-1, 0, 1))
    assert thin < 0.85 * normal < normal < 0.9 * thick
    rng = np.random.default_rng(0)
    paper = on_paper(slant(pen_stroke(scan), rng), rng)
    assert np.median(paper) > 0.6 > 0.4 > np.quantile(paper, 0.01)


def test_fonts_without_digits_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"not a font")
    sizes = FONTS / "STIXSizOneSymReg.ttf"  # brackets only
    assert usable_fonts([tmp_path / "broken.ttf", sizes, FONTS / "cmr10.ttf"]) == [FONTS / "cmr10.ttf"]
