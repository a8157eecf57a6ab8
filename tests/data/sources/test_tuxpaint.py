"""Pairing, languages, kinds and splits of Tux Paint's stamps, on a tiny package built here."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vqmm.data.manifest import read_manifest
from vqmm.data.sources import debian, stamps_archive
from vqmm.data.sources.tuxpaint import find_stamps, split_stamps, write_tuxpaint
from vqmm.errors import UserError

FILES = {
    "animals/dog.png": b"dog",
    "animals/dog.dat": b"noflip",
    "animals/dog.txt": b"A dog.\nfr.utf8=Un chien.\n",
    "animals/dog.ogg": b"woof",
    "animals/dog_desc.ogg": b"a dog",
    "animals/dog_desc_fr.ogg": b"un chien",
    "animals/dog_desc_da.ogg.ogg": b"en hund",
    "animals/cats/Big_cat.png": b"cat",
    "animals/cats/big_cat_desc_pt_BR.wav": b"um gato",
    "animals/cats/lost_desc_el.ogg": b"no picture",
    "symbols/math/7.png": b"7",
    "symbols/math/7.ogg": b"seven",
    "symbols/math/7_en_GB.ogg": b"seven!",
    "symbols/math/7_zh_tw.ogg": b"qi",
    "symbols/alphabets/german/oe.png": b"oe",
    "symbols/alphabets/german/oe.ogg": b"oe said",
    "town/bus.svg": b"<svg bus",
    "town/bus.png": b"bus",
    "town/bus_mirror.png": b"sub",
    "town/sign.svg": b"<svg sign",
    "plants/rose.png": b"rose",
    "plants/rose_desc_fr.ogg": b"une fleur",
    "plants/tulip.png": b"tulip",
    "plants/tulip_desc_fr.ogg": b"une fleur",
}


def _folder(path: Path) -> Path:
    for name, data in FILES.items():
        file = path / "stamps" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def _tar(path: Path, prefix: str, mode: str) -> Path:
    with tarfile.open(path, f"w:{mode}") as archive:  # type: ignore[call-overload]
        for name, data in {**FILES, "../../escaped.png": b"evil"}.items():
            member = tarfile.TarInfo(f"{prefix}stamps/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def _deb(path: Path) -> Path:
    data = _tar(path.with_suffix(".tar.xz"), "./usr/share/tuxpaint/", "xz").read_bytes()
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": data}
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, content in members.items():
            file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            file.write(content + b"\n" * (len(content) % 2))
    return path


def _rows(manifest: Path) -> dict[str, dict[str, str]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, dict[str, str]]:
    return _rows(write_tuxpaint(tmp_path / "out", 0, source=_folder(tmp_path / "in")))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: _folder(path / "in"),
        lambda path: _folder(path / "in") / "stamps",
        lambda path: _tar(path / "up.tar.gz", "tuxpaint-stamps-2022/", "gz"),
        lambda path: _deb(path / "stamps.deb"),
    ],
    ids=["folder above", "folder", "tar.gz", "deb"],
)
def test_every_kind_of_source_gives_the_same_manifest(
    tmp_path: Path, rows: dict[str, dict[str, str]], make: Callable[[Path], Path]
) -> None:
    source = make(tmp_path)
    manifest = write_tuxpaint(tmp_path / "again", 0, source=source)
    assert _rows(manifest) == rows
    base = (
        stamps_archive.manifest_base(stamps_archive.folder_of_stamps(source))
        if source.is_dir()
        else manifest.parent
    )
    for row in rows.values():
        for path in filter(None, (row["audio"], row["image"])):
            assert (base / path).read_bytes() == FILES[path.removeprefix("stamps/")]
    assert not list(tmp_path.rglob("escaped.png"))
    left = {"manifest.csv"} if source.is_dir() else {"stamps", "manifest.csv"}  # a folder is not copied
    assert {p.name for p in manifest.parent.iterdir()} == left


@pytest.mark.parametrize(
    ("recording", "picture", "language", "kind"),
    [
        ("animals/dog.ogg", "animals/dog.png", "", "effect"),
        ("animals/dog_desc.ogg", "animals/dog.png", "en", "description"),
        ("animals/dog_desc_fr.ogg", "animals/dog.png", "fr", "description"),
        ("animals/dog_desc_da.ogg.ogg", "animals/dog.png", "da", "description"),
        ("animals/cats/big_cat_desc_pt_BR.wav", "animals/cats/Big_cat.png", "pt_BR", "description"),
        ("animals/cats/lost_desc_el.ogg", "", "el", "description"),
        ("symbols/math/7.ogg", "symbols/math/7.png", "en", "description"),
        ("symbols/math/7_en_GB.ogg", "symbols/math/7.png", "en_GB", "description"),
        ("symbols/math/7_zh_tw.ogg", "symbols/math/7.png", "zh_tw", "description"),
        ("symbols/alphabets/german/oe.ogg", "symbols/alphabets/german/oe.png", "de", "description"),
    ],
)
def test_recordings_find_their_picture(
    rows: dict[str, dict[str, str]], recording: str, picture: str, language: str, kind: str
) -> None:
    row = rows[recording]
    assert row["audio"] == f"stamps/{recording}"
    assert row["image"] == (f"stamps/{picture}" if picture else "")
    assert (row["language"], row["kind"]) == (language, kind)
    assert row["label"] == row["category"] == recording.split("/")[0]


def test_pictures_alone_mirrors_and_captions(rows: dict[str, dict[str, str]]) -> None:
    assert rows["town/bus.png"]["item"] == rows["town/bus_mirror.png"]["item"] == "town/bus"
    assert rows["town/bus.png"]["audio"] == "" and "town/bus.svg" not in rows
    assert rows["town/sign.svg"]["image"] == "stamps/town/sign.svg"
    assert rows["animals/dog.ogg"]["caption"] == "A dog."
    sounds = [name for name in FILES if name.endswith((".ogg", ".wav"))]
    assert len(rows) == len(sounds) + 3


def test_manifest_is_one_that_prepare_reads(tmp_path: Path) -> None:
    source = _folder(tmp_path / "in")
    manifest = write_tuxpaint(tmp_path / "out", 0, source=source)
    read = {row.id: row for row in read_manifest(manifest, source)}
    assert (
        read["animals/dog.ogg"].item == read["animals/dog_desc.ogg"].item != read["symbols/math/7.ogg"].item
    )
    assert not any(row.refused for row in read.values())


def test_a_folder_of_another_name_is_read_where_it_lies(tmp_path: Path) -> None:
    source = (_folder(tmp_path / "in") / "stamps").rename(tmp_path / "mine")
    rows = read_manifest(write_tuxpaint(tmp_path / "out", 0, source=source), source)
    assert {row.image for row in rows} >= {source / "animals/dog.png", source / "town/bus_mirror.png"}
    assert not any(row.refused for row in rows)


def test_another_archive_is_unpacked_and_the_same_one_is_not(tmp_path: Path) -> None:
    first = _tar(tmp_path / "first.tar.gz", "", "gz")
    write_tuxpaint(tmp_path / "out", 0, source=first)
    dog = tmp_path / "out" / "stamps" / "animals" / "dog.png"
    dog.write_bytes(b"mark")
    write_tuxpaint(tmp_path / "out", 0, source=first)
    assert dog.read_bytes() == b"mark"
    with tarfile.open(tmp_path / "second.tar", "w") as archive:
        member = tarfile.TarInfo("stamps/animals/cow.png")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"cow"))
    rows = _rows(write_tuxpaint(tmp_path / "out", 0, source=tmp_path / "second.tar"))
    assert list(rows) == ["animals/cow.png"] and not dog.exists()


def test_drawings_are_left_out_without_cairosvg(tmp_path: Path) -> None:
    stamps = find_stamps(_folder(tmp_path) / "stamps", drawings=False)
    assert "town/sign" not in {stamp.name for stamp in stamps}


def test_splits_hold_together_what_shares_a_file(tmp_path: Path) -> None:
    root = _folder(tmp_path) / "stamps"
    for i in range(300):
        (root / "plants" / f"weed{i}.png").write_bytes(b"weed %d" % i)
    stamps = find_stamps(root)
    seen = set()
    for seed in range(20):
        splits = split_stamps(root, stamps, seed)
        assert splits["plants/rose"] == splits["plants/tulip"]
        seen.add(splits["plants/rose"])
        shares = [
            list(splits.values()).count(split) / len(splits) for split in ("train", "validation", "test")
        ]
        assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.07)
    assert len(seen) > 1
    assert split_stamps(root, stamps, 1) == split_stamps(root, stamps[::-1], 1)


def test_limit_keeps_whole_stamps(tmp_path: Path) -> None:
    source = _folder(tmp_path / "in")
    some = _rows(write_tuxpaint(tmp_path / "some", 0, source=source, limit=4))
    every = _rows(write_tuxpaint(tmp_path / "all", 0, source=source))
    assert 4 <= len(some) < len(every)
    items = {row["item"] for row in some.values()}
    assert some == {name: row for name, row in every.items() if row["item"] in items}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("missing.deb", None, "no such file"),
        ("text.deb", b"hello", "not a readable"),
        ("cut.deb", b"!<arch>\n", "not a readable"),
        ("new.deb", b"!<arch>\n" + b"%-16s%-32s%-10s`\n" % (b"data.tar.zst", b"0", b"4"), "dpkg -x"),
    ],
)
def test_useless_sources_are_refused(tmp_path: Path, name: str, data: bytes | None, words: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=words):
        write_tuxpaint(tmp_path / "out", 0, source=tmp_path / name)
    assert list((tmp_path / "out").iterdir()) == []


def test_truncated_package_is_refused(tmp_path: Path) -> None:
    whole = _deb(tmp_path / "whole.deb").read_bytes()
    (tmp_path / "cut.deb").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(UserError, match="not a readable"):
        write_tuxpaint(tmp_path / "out", 0, source=tmp_path / "cut.deb")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="holds no Tux Paint stamps"):
        write_tuxpaint(tmp_path / "out", 0, source=tmp_path / "in")


def test_without_apt_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="no apt-get.*tuxpaint.org"):
        write_tuxpaint(tmp_path / "out", 0)


def test_apt_is_asked_for_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "apt-get"
    deb = _deb(tmp_path / "tuxpaint-stamps-default_1_all.deb")
    fake.write_text(f'#!/bin/sh\n[ "$*" = "download tuxpaint-stamps-default" ] && cp {deb} .\n')
    fake.chmod(0o755)
    monkeypatch.setattr(debian.shutil, "which", lambda name: str(fake))
    rows = _rows(write_tuxpaint(tmp_path / "out", 0))
    assert "animals/dog.ogg" in rows
    fake.write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
    with pytest.raises(UserError, match="E: no network.*apt-get update"):
        write_tuxpaint(tmp_path / "other", 0)
