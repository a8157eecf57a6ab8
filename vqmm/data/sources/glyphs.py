"""A larger vocabulary: 26 letters and ten digits, printed in fonts, and the words that spell them.

Offline, as `digits` is. A letter's word is that of the spelling alphabet (alfa, bravo,
...), spoken by the voices of `digits` in eSpeak's own accents of English. The pictures are
capital letters and digits in the fonts that come with matplotlib, strongly distorted.
No voice and no family of fonts is in two splits.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.ndimage
from PIL import Image

from vqmm.data.sources.digits import Voice, speak_plan, split_voices, thin, write_manifest
from vqmm.data.sources.espeak import Delivery
from vqmm.data.sources.proxy_pictures import draw_sign, frame_by_mass, slant
from vqmm.data.sources.speech import Take
from vqmm.data.sources.voices import ENGLISH, WORDS, Accent
from vqmm.errors import UserError

SIGNS = string.digits + string.ascii_uppercase
SPELLING = (
    *("alfa", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india"),
    *("juliett", "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo"),
    *("sierra", "tango", "uniform", "victor", "whiskey", "x-ray", "yankee", "zulu"),
)
COLUMNS = ("id", "audio", "image", "label", "split", "voice", "accent", "font")

# Of matplotlib's own fonts; a family is in one split.
FONTS = {
    "train": ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif", "cmr10", "cmb10", "cmti10"),
    "validation": ("cmtt10",),
    "test": ("STIXGeneral", "cmss10"),
}
_STYLE = re.compile(r"(-?Bold|-?Bol|-?Oblique|-?Italic|-?Ita)+$")
_COPIES = {"train": 8, "validation": 3, "test": 3}  # drawings of each sign by each font
_PIXELS = 40


def write_glyphs(
    folder: Path, seed: int, *, workers: int = 0, progress: bool = False, limit: int | None = None
) -> Path:
    """Writes the signs as PNG, the words as FLAC and ``manifest.csv``.

    Args:
        folder: made where it is missing.
        seed: draws voices, accents, manners, distortions and the splits.
        workers: processes that speak at a time; 0 = one per processor.
        progress: show a progress bar on the terminal.
        limit: about this many recordings from all splits, and fewer pictures, for a quick trial.

    Returns:
        The path of ``manifest.csv``. A row has a recording or a picture, its label
        ``"0"``..``"9"``, ``"A"``..``"Z"``, its split, and the voice and accent or the font.

    Raises:
        UserError: for a limit below 108, which leaves a split without some sign.
    """
    least = 3 * len(SIGNS)
    if limit is not None and limit < least:
        raise UserError(f"limit={limit}: it takes at least {least}, one of each sign in each of three splits")
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    planned = _plan(split_voices(seed), seed)
    if limit is not None:
        planned = thin(planned, limit // len(SIGNS))
    recordings = [
        {
            "id": f"speech-{Path(file).stem}",
            "audio": f"audio/{file}",
            "label": SIGNS[place],
            "split": voice.split,
            "voice": voice.name,
            "accent": accent.name,
        }
        for voice, accent, place, file in speak_plan(planned, folder / "audio", seed, workers, progress)
    ]
    pictures = _draw(folder / "images", np.random.default_rng([seed, 6]), 1 if limit else None)
    return write_manifest(folder / "manifest.csv", [*recordings, *pictures], COLUMNS)


def family(font: Path) -> str:
    """Name of the font's family: its file's name without style."""
    return _STYLE.sub("", font.stem)


def _plan(voices: list[Voice], seed: int) -> list[tuple[Voice, Accent, Take]]:
    planned = []
    for number, voice in enumerate(voices):
        rng = np.random.default_rng([seed, 5, number])
        language = ENGLISH[rng.integers(len(ENGLISH))]
        accent = Accent(language, language, (*WORDS, *SPELLING), False)
        rate, pitch, spread = (int(rng.integers(*span)) for span in ((130, 230), (25, 76), (25, 76)))
        stem = re.sub(r"\W", "_", voice.name)
        take = Take(stem, f"{language}+{voice.name}", accent.texts, False, Delivery(rate, pitch, spread))
        planned.append((voice, accent, take))
    return planned


def _draw(folder: Path, rng: np.random.Generator, copies: int | None) -> Iterator[dict[str, str]]:
    import matplotlib

    files = sorted((Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
    for split, families in FONTS.items():
        for font in (file for file in files if family(file) in families):
            for sign in SIGNS:
                for copy in range(copies or _COPIES[split]):
                    name = f"{font.stem}-{sign}-{copy}"
                    ink = frame_by_mass(_distort(draw_sign(font, sign), rng), _PIXELS, _PIXELS - 8)
                    Image.fromarray(np.round(ink * 255).astype(np.uint8)).save(folder / f"{name}.png")
                    yield {
                        "id": f"glyph-{name}",
                        "image": f"images/{name}.png",
                        "label": sign,
                        "split": split,
                        "font": font.stem,
                    }


def _distort(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another pen's weight, a wavering hand, a lean and a stretch: f32 like `ink`."""
    wide = scipy.ndimage.gaussian_filter(ink, rng.uniform(0.8, 2.5))
    wide = 1 / (1 + np.exp(-(wide - wide.max() * rng.uniform(0.3, 0.6)) * 20))
    waver = scipy.ndimage.gaussian_filter(rng.normal(size=(2, *ink.shape)), (0, 10, 10))
    waver *= rng.uniform(0.0, 3.0) / max(waver.std(), 1e-9)
    places = np.indices(ink.shape) + waver
    return slant(scipy.ndimage.map_coordinates(wide.astype(np.float32), places, order=1), rng)
