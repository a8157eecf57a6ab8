"""Stand-ins for the world: recordings and pictures of digits unlike the built-in data.

A model that learnt from `digits` alone is tried on them to see what carries
over: other people and another synthesiser, in rooms and over lines; fonts, pens
and framings that no training scan has. Test only: nothing here may be learnt
from, nor serve to choose between models more than it has to.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from PIL import Image

from vqmm.data.sources.debian import download_package, read_archive
from vqmm.data.sources.degrade import Recording, change_speed, degrade
from vqmm.data.sources.digits import scan_writers, split_writers
from vqmm.data.sources.proxy_pictures import (
    FONT_PACKAGES,
    draw_digit,
    frame_by_mass,
    scan_proxies,
    slant,
    usable_fonts,
)
from vqmm.data.sources.proxy_speech import (
    PROMPT_PACKAGES,
    SpokenDigit,
    flite_digits,
    prompt_digits,
    stamps_digits,
)
from vqmm.errors import UserError

COLUMNS = ("id", "audio", "image", "label", "split", "proxy", "source")
ALTERED_COPIES = {"human": 6, "flite": 1}  # further copies of each clip, degraded
_HAND_COPIES = 3
_SYSTEM_FONTS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
_SYMBOL_FONTS = ("cmsy", "cmmi", "cmex")  # other signs in the digits' places


class Sample(NamedTuple):
    """One stand-in: a recording, or a picture f32[h, w] in 0..1."""

    kind: str
    digit: int
    source: str
    content: Recording | np.ndarray


def write_proxies(
    folder: Path, seed: int, *, tuxpaint: Path | None = None, packages: Path | None = None, fetch: bool = True
) -> Path:
    """Writes the stand-ins, ``manifest.csv`` and ``proxies.json``.

    Kinds of recordings: ``human`` (as they come), ``human-altered`` (speed and
    pitch ±15 %, room, line, noise, 8-44.1 kHz), ``flite`` and ``flite-altered``.
    Kinds of pictures: ``scan-centred``, ``scan-pen``, ``scan-paper`` (of the
    test writers' scans, see `proxy_pictures.scan_proxies`), ``font`` and
    ``hand-font`` (handwriting fonts, slanted).

    Args:
        folder: made where it is missing.
        seed: that of `write_digits`, so that the scans are those of its test split.
        tuxpaint: the stamps' package, archive or folder, for its two speakers.
        packages: a folder with ``.deb`` files to look in before fetching.
        fetch: get missing small packages (voice prompts, fonts) with apt-get.

    Returns:
        The path of ``manifest.csv``, all of split ``test``; the column `proxy`
        names the kind, `source` the speaker, font or writer. What could not be
        had is in ``proxies.json`` under ``left_out`` with the reason.
    """
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    left_out: dict[str, str] = {}
    rng = np.random.default_rng([seed, 4])
    with tempfile.TemporaryDirectory(dir=folder, prefix=".packages-") as temporary:
        shelf = _Shelf(packages, Path(temporary), fetch, left_out)
        rows = [
            _write(folder, f"{sample.kind}-{number:05d}", sample)
            for number, sample in enumerate(_samples(shelf, seed, rng, tuxpaint))
        ]
    counts = Counter(row["proxy"] for row in rows)
    _replace(folder / "proxies.json", json.dumps({"counts": counts, "left_out": left_out}, indent=2) + "\n")
    manifest = folder / "manifest.csv"
    temporary_file = manifest.with_suffix(".csv.part")
    with temporary_file.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return temporary_file.replace(manifest)


class _Shelf:
    """Debian packages by name, and a note of those that cannot be had."""

    def __init__(self, packages: Path | None, folder: Path, fetch: bool, left_out: dict[str, str]) -> None:
        self.packages, self.folder, self.fetch, self.left_out = packages, folder, fetch, left_out

    def get(self, name: str) -> Path | None:
        for place in filter(None, (self.packages, self.folder)):
            found = sorted(place.glob(f"{name}_*.deb"))
            if found:
                return found[-1]
        if not self.fetch:
            self.left_out[name] = "not among the packages given, and fetching is off"
            return None
        try:
            return download_package(name, self.folder)
        except UserError as error:
            self.left_out[name] = str(error)
            return None

    def read(
        self, what: str, source: Path | None, read: Callable[[Path], list[SpokenDigit]]
    ) -> list[SpokenDigit]:
        if source is None:
            self.left_out.setdefault(what, "not given")
            return []
        try:
            found = read(source)
        except UserError as error:
            self.left_out[what] = str(error)
            return []
        if not found:
            self.left_out[what] = f"{source.name} has no spoken digits"
        return found


def _samples(shelf: _Shelf, seed: int, rng: np.random.Generator, tuxpaint: Path | None) -> Iterator[Sample]:
    human = shelf.read("tuxpaint", tuxpaint, stamps_digits)
    for package in PROMPT_PACKAGES:
        human += shelf.read(package, shelf.get(package), prompt_digits)
    flite = flite_digits()
    if not flite:
        shelf.left_out["flite"] = "the program flite is not installed; apt-get install flite"
    for kind, spoken in (("human", human), ("flite", flite)):
        for speaker, digit, recording in spoken:
            yield Sample(kind, digit, speaker, recording)
            for _ in range(ALTERED_COPIES[kind]):
                other = change_speed(recording, rng.uniform(0.87, 1.15)) if kind == "human" else recording
                yield Sample(f"{kind}-altered", digit, speaker, degrade(other, rng))
    yield from _scan_samples(seed, rng)
    yield from _font_samples(shelf, rng)


def _scan_samples(seed: int, rng: np.random.Generator) -> Iterator[Sample]:
    from sklearn.datasets import load_digits  # seconds to import

    data = load_digits()
    writers, split_of = scan_writers(len(data.target)), split_writers(seed)
    test = [index for index, writer in enumerate(writers) if split_of[writer] == "test"]
    for kind, place, picture in scan_proxies(data.images[test].astype(np.float32) / 16, rng):
        index = test[place]
        yield Sample(kind, int(data.target[index]), f"writer{writers[index]}", picture)


def _font_samples(shelf: _Shelf, rng: np.random.Generator) -> Iterator[Sample]:
    import matplotlib

    plain = [path for root in _SYSTEM_FONTS if root.is_dir() for path in root.rglob("*.[to]tf")]
    plain += (Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("*.ttf")  # always there
    faces = {path.name: path for path in plain if not path.name.startswith(_SYMBOL_FONTS)}
    for font in usable_fonts(faces.values()):
        for digit in range(10):
            yield Sample("font", digit, font.stem, frame_by_mass(draw_digit(font, digit)))
    for font in usable_fonts(_unpack_fonts(filter(None, map(shelf.get, FONT_PACKAGES)), shelf.folder)):
        for digit in range(10):
            for _ in range(_HAND_COPIES):
                ink = slant(draw_digit(font, digit), rng)
                yield Sample("hand-font", digit, font.stem, frame_by_mass(ink))


def _unpack_fonts(packages: Iterable[Path], folder: Path) -> list[Path]:
    fonts = []
    for package in packages:
        for path, data in read_archive(package):
            if path.suffix.lower() in (".ttf", ".otf"):
                font = folder / path.name
                font.write_bytes(data.read())
                fonts.append(font)
    return fonts


def _write(folder: Path, name: str, sample: Sample) -> dict[str, str]:
    row = {
        "id": name,
        "label": str(sample.digit),
        "split": "test",
        "proxy": sample.kind,
        "source": sample.source,
    }
    if isinstance(sample.content, Recording):
        row["audio"] = f"audio/{name}.wav"
        soundfile.write(folder / row["audio"], *sample.content, subtype="PCM_16")
    else:
        row["image"] = f"images/{name}.png"
        Image.fromarray(np.round(sample.content * 255).astype(np.uint8)).save(folder / row["image"])
    return row


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
