"""Tux Paint's stamps: pictures of things, and people who say what they show.

A picture ``dog.png`` comes with ``dog_desc_fr.ogg`` (its description, spoken in
French; English where no language is named), ``dog_fr.ogg`` (its name),
``dog.ogg`` (its sound, or its English name where other languages have names)
and ``dog.txt`` (the description in many languages, English first). The stamps
are under the GPL, version 2: this module fetches them, the project has none.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vqmm.data.sources.stamps_archive import manifest_base, unpack_stamps
from vqmm.data.splits import hash_place, split_at
from vqmm.extras import missing_packages

COLUMNS = ("id", "audio", "image", "item", "label", "split", "caption", "language", "kind", "category")

_PICTURES, _SOUNDS = (".png", ".svg"), (".ogg", ".wav")
_LANGUAGE = r"[a-z]{2,3}(?:_[A-Za-z]{2})?"  # fr, en_GB, zh_tw
_SPOKEN = re.compile(rf"(?P<stem>.+?)(?:_desc(?P<said>_{_LANGUAGE})?|_(?P<named>{_LANGUAGE}))?")
_ALPHABETS = {"english": "en", "german": "de", "spanish": "es"}

_log = logging.getLogger(__name__)


class Recording(NamedTuple):
    """A sound of a stamp. `language` is "" for sound effects; `kind` description or effect."""

    path: str
    language: str
    kind: str


@dataclass
class Stamp:
    """A thing with its views. `name` is its path without suffix; `pictures[0]` is the main one."""

    name: str
    pictures: list[str] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    caption: str = ""

    @property
    def category(self) -> str:
        return self.name.partition("/")[0]


def write_tuxpaint(
    folder: Path,
    seed: int,
    *,
    workers: int = 0,
    progress: bool = False,
    limit: int | None = None,
    source: Path | None = None,
) -> Path:
    """Unpacks the stamps and writes ``manifest.csv``: a row for each picture × recording.

    Args:
        folder: made where it is missing; gets the manifest, and the stamps of an archive.
        seed: draws the splits.
        workers: unused; the disk sets the pace. Here for a common signature.
        progress: unused.
        limit: stop after about this many recordings, whole stamps at a time.
        source: a ``.deb``, tar archive or folder of the stamps; None fetches the
            Debian package with apt-get.

    Returns:
        The path of ``manifest.csv``. Its paths are relative to `folder`; for a source that is a
        folder, which is read where it lies, to `stamps_archive.manifest_base` of it. A stamp
        without recordings is a row with `audio` empty, as is its mirrored picture; a recording
        whose picture is missing is a row with `image` empty. SVG drawings are left out, with a
        warning in the log, where cairosvg is not installed.

    Raises:
        UserError: where the stamps cannot be had; the message says how to.
    """
    del workers, progress
    root = unpack_stamps(source, folder)
    drawings = not missing_packages("svg")
    if not drawings:
        _log.warning("SVG drawings are left out: pip install 'vqmm[svg]' for about 160 pictures more")
    stamps = find_stamps(root, drawings)
    splits = split_stamps(root, stamps, seed)
    if limit is not None:
        stamps = _thin(stamps, seed, limit)
    manifest = folder / "manifest.csv"
    temporary = manifest.with_suffix(".csv.part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for stamp in stamps:
            for row in _rows(stamp, root.relative_to(manifest_base(root))):
                writer.writerow({**row, "split": splits[stamp.name]})
    return temporary.replace(manifest)


def find_stamps(root: Path, drawings: bool = True) -> list[Stamp]:
    """Lists the stamps under `root`, sorted by name, with what belongs to each.

    Args:
        root: the folder of category folders.
        drawings: count SVG files as pictures; where a PNG of the same name is
            beside one, the PNG is taken.

    Returns:
        The stamps. Sounds without a picture make a stamp without pictures.
    """
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    stamps: dict[str, Stamp] = {}
    for file in files:  # PNG sorts before SVG
        stem, suffix = _stem(file)
        if suffix in _PICTURES[: 2 if drawings else 1] and "/" in stem:
            stamp = stamps.setdefault(stem, Stamp(stem))
            stamp.pictures = stamp.pictures or [file]
    for stem in [stem for stem in stamps if stem.endswith("_mirror")]:
        if (plain := stem.removesuffix("_mirror")) in stamps:
            stamps[plain].pictures += stamps.pop(stem).pictures
    # Some sounds differ from their picture in capitals only.
    known = {name.lower(): name for name in stamps}
    for file in files:
        stem, suffix = _stem(file)
        if suffix in _SOUNDS and "/" in stem:
            name, recording = _recording(file, stem, known)
            stamps.setdefault(name, Stamp(name)).recordings.append(recording)
    for stamp in stamps.values():
        text = root / f"{stamp.name}.txt"
        if text.is_file():
            stamp.caption = text.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
        _tell_names_from_effects(stamp)
    return [stamps[name] for name in sorted(stamps)]


def _stem(file: str) -> tuple[str, str]:
    stem, dot, suffix = file.rpartition(".")
    # One file of the package is called ..._da.ogg.ogg.
    return re.sub(r"\.(ogg|wav)$", "", stem), (dot + suffix).lower()


def _recording(file: str, stem: str, known: dict[str, str]) -> tuple[str, Recording]:
    if stem.lower() in known:
        return known[stem.lower()], Recording(file, "", "effect")
    match = _SPOKEN.fullmatch(stem)
    described = match is not None and stem.removeprefix(match["stem"]).startswith("_desc")
    if match is None or not (described or match["named"]):
        return stem, Recording(file, "", "effect")
    language = match["named"] or (match["said"] or "_en")[1:]
    return known.get(match["stem"].lower(), match["stem"]), Recording(file, language, "description")


def _tell_names_from_effects(stamp: Stamp) -> None:
    """``7.ogg`` beside ``7_fr.ogg`` is the English word, a letter's is its name; ``dog.ogg`` is a bark."""
    named = any(r.language and "_desc" not in r.path for r in stamp.recordings)
    alphabet = re.search(r"/alphabets/(\w+)/", stamp.name)
    if named or alphabet:
        language = _ALPHABETS.get(alphabet[1], "") if alphabet else "en"
        stamp.recordings = [
            r._replace(language=language, kind="description") if r.kind == "effect" else r
            for r in stamp.recordings
        ]


def split_stamps(root: Path, stamps: Sequence[Stamp], seed: int) -> dict[str, str]:
    """Gives each stamp to a split, by a seeded hash.

    Stamps that share a file's content (one recording of "flower" serves six
    flowers) go to the same split: nothing in test was heard or seen in training.

    Returns:
        ``{stamp name: "train" | "validation" | "test"}``.
    """
    parent = {stamp.name: stamp.name for stamp in stamps}

    def first(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    owner: dict[bytes, str] = {}
    for stamp in stamps:
        for file in (*stamp.pictures, *(r.path for r in stamp.recordings)):
            content = hashlib.blake2b((root / file).read_bytes(), digest_size=16).digest()
            other = first(owner.setdefault(content, stamp.name))
            mine = first(stamp.name)
            parent[max(mine, other)] = min(mine, other)
    return {stamp.name: split_at(hash_place(seed, first(stamp.name))) for stamp in stamps}


def _thin(stamps: Iterable[Stamp], seed: int, limit: int) -> list[Stamp]:
    kept: list[Stamp] = []
    count = 0
    for stamp in sorted(stamps, key=lambda stamp: hash_place(seed + 1, stamp.name)):
        if count >= limit:
            break
        kept.append(stamp)
        count += max(1, len(stamp.recordings))
    return sorted(kept, key=lambda stamp: stamp.name)


def _rows(stamp: Stamp, above: Path) -> Iterator[dict[str, str]]:
    shared = {
        "item": stamp.name,
        "label": stamp.category,
        "caption": stamp.caption,
        "category": stamp.category,
    }
    pictures = [(above / picture).as_posix() for picture in stamp.pictures]
    for path, language, kind in stamp.recordings:
        row = {"id": path, "audio": (above / path).as_posix(), "language": language, "kind": kind}
        yield {**shared, **row, "image": pictures[0] if pictures else ""}
    first = 1 if stamp.recordings else 0
    for name, picture in list(zip(stamp.pictures, pictures, strict=True))[first:]:
        yield {**shared, "id": name, "image": picture}
