"""The built-in data: handwritten digits and the spoken words zero ... nine.

Offline and without system packages: the pictures are scikit-learn's 1,797 scans,
the recordings are spoken by eSpeak NG with its own voices and with random ones
(see `voices`). A recording and a picture are a pair when their labels agree.

No voice and no writer is in two splits. The scans' forms were filled in by 14
hands one after the other, each copying the same 130 digits, which shows where a
hand begins; two forms may still be by one person (the data's authors count 13).
"""

from __future__ import annotations

import bisect
import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vqmm.data.sources.espeak import Delivery, stock_variants
from vqmm.data.sources.speech import Spoken, Take, speak_takes
from vqmm.data.sources.voices import (
    ENGLISH,
    RESPELT,
    WORDS,
    Accent,
    draw_accent,
    draw_variant,
    english,
    foreign,
)
from vqmm.errors import UserError
from vqmm.phase_progress import PhaseProgress

COLUMNS = ("id", "audio", "image", "label", "split", "voice", "accent", "writer")

# First scan of each form in `sklearn.datasets.load_digits`, where the copied text starts again.
WRITER_STARTS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)
WRITERS = {"test": 2, "validation": 2}  # the rest is for training

OWN_VOICES = 260
VOICE_SHARES = {"test": 0.12, "validation": 0.08}  # of the voices, stock and own alike
TAKES = {"train": 3, "validation": 2, "test": 2}  # of the ten words per voice
_SCAN_PIXELS = 32


class Voice(NamedTuple):
    """A speaker: one of eSpeak's variants, or one of ours with its variant file's text."""

    name: str
    split: str
    text: str | None


def write_digits(
    folder: Path, seed: int, *, workers: int = 0, progress: bool = False, limit: int | None = None
) -> Path:
    """Writes the scans as PNG, the spoken digits as FLAC and ``manifest.csv``.

    Args:
        folder: made where it is missing.
        seed: draws voices, accents, manners and the splits.
        workers: processes that speak at a time; 0 = one per processor.
        progress: show a progress bar on the terminal.
        limit: about this many recordings and this many pictures from all splits,
            for a quick trial; of pictures never fewer than ten of each writer.

    Returns:
        The path of ``manifest.csv``. A row has a recording or a picture, its
        label ``"0"``..``"9"``, its split, and the voice and accent or the writer.

    Raises:
        UserError: for a limit below 30, which leaves a split without some digit.
    """
    if limit is not None and limit < 30:
        raise UserError(f"limit={limit}: it takes at least 30, one of each digit in each of three splits")
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    pictures = list(_write_scans(folder / "images", seed, limit))
    recordings = list(_write_speech(folder / "audio", seed, workers, progress, limit))
    return write_manifest(folder / "manifest.csv", [*recordings, *pictures], COLUMNS)


def split_voices(seed: int) -> list[Voice]:
    """Draws our own voices and gives every voice to a split.

    Stock variants that differ in a number only (``steph``, ``steph2``, ...) are
    relatives and stay together.
    """
    rng = np.random.default_rng([seed, 1])
    names = stock_variants()
    families = [list(group) for _, group in itertools.groupby(names, _family)]
    own = [[f"own{i:03d}"] for i in range(OWN_VOICES)]
    texts = {name: draw_variant(rng, name) for (name,) in own}
    voices = []
    for groups in (families, own):
        wanted = {s: round(share * sum(map(len, groups))) for s, share in VOICE_SHARES.items()}
        for index in rng.permutation(len(groups)):
            group = groups[index]
            split = next((s for s, count in wanted.items() if count >= len(group)), "train")
            if split in wanted:
                wanted[split] -= len(group)
            voices += [Voice(name, split, texts.get(name)) for name in group]
    return voices


def _family(name: str) -> str:
    # The numbered male and female voices (m1, f1, ...) are different speakers.
    return name if re.fullmatch(r"[fm]\d", name) else re.sub(r"(Max)?\d*$", "", name)


def _plan(voices: Sequence[Voice], seed: int) -> list[tuple[Voice, Accent, Take]]:
    planned = []
    for number, voice in enumerate(voices):
        rng = np.random.default_rng([seed, 2, number])
        for k in range(TAKES[voice.split]):
            accent = _draw_accent(rng, voice, k)
            training = voice.split == "train"
            # A lone digit takes people 0.3-0.7 s; at 110-230 words a minute it takes eSpeak as long.
            slow, fast = (110, 230) if training else (130, 210)
            rate = round(slow * (fast / slow) ** rng.uniform())
            pitch, spread = (int(rng.integers(25, 76)) for _ in range(2))
            ends = rng.choice(["", "", "?", "!", ","], size=len(WORDS)) if training else [""] * len(WORDS)
            texts = [text + end for text, end in zip(accent.texts, ends, strict=True)]
            name = re.sub(r"\W", "_", voice.name)
            take = Take(
                f"{name}-{k}",
                f"{accent.language}+{voice.name}",
                texts,
                accent.phonemes,
                Delivery(rate, pitch, spread),
            )
            planned.append((voice, accent, take))
    return planned


def _draw_accent(rng: np.random.Generator, voice: Voice, take: int) -> Accent:
    kind = rng.uniform()
    # Validation and test ask about voices alone: eSpeak's own accents of English.
    if voice.split != "train" or kind < 0.3:
        return english(ENGLISH[rng.integers(len(ENGLISH))])
    if kind < 0.75:
        return draw_accent(rng, f"own-{voice.name}-{take}")
    return foreign(sorted(RESPELT)[rng.integers(len(RESPELT))])


def _write_speech(
    folder: Path, seed: int, workers: int, progress: bool, limit: int | None
) -> Iterator[dict[str, str]]:
    planned = _plan(split_voices(seed), seed)
    if limit is not None:
        planned = thin(planned, limit // len(WORDS))
    for voice, accent, place, file in speak_plan(planned, folder, seed, workers, progress):
        yield {
            "id": f"speech-{Path(file).stem}",
            "audio": f"audio/{file}",
            "label": str(place),
            "split": voice.split,
            "voice": voice.name,
            "accent": accent.name,
        }


def speak_plan(
    planned: Sequence[tuple[Voice, Accent, Take]], folder: Path, seed: int, workers: int, progress: bool
) -> Iterator[tuple[Voice, Accent, int, str]]:
    """Speaks takes that all say the same words into `folder`.

    Yields:
        Voice, accent, place of the word and file, of each clip that can be understood; the
        others are deleted.
    """
    variants = {voice.name: voice.text for voice, _, _ in planned if voice.text}
    with PhaseProgress("speaking", "takes", len(planned), show=progress) as shown:
        spoken = speak_takes(
            [take for _, _, take in planned],
            variants,
            folder,
            seed,
            workers=workers,
            on_take=shown.advance,
        )
    keep = sound_takes(spoken)
    for (voice, accent, _), clips, kept in zip(planned, spoken, keep, strict=True):
        for place, file in enumerate(clips.files):
            if kept[place]:
                yield voice, accent, place, file
            else:
                (folder / file).unlink()


def thin(planned: list[tuple[Voice, Accent, Take]], takes: int) -> list[tuple[Voice, Accent, Take]]:
    """About so many of the planned takes, from every split."""
    by_split: dict[str, list[tuple[Voice, Accent, Take]]] = {}
    for plan in planned:
        by_split.setdefault(plan[0].split, []).append(plan)
    kept = []
    for plans in by_split.values():
        count = max(1, takes * len(plans) // len(planned))
        kept += [plans[i] for i in np.linspace(0, len(plans) - 1, min(count, len(plans))).astype(int)]
    return kept


def sound_takes(spoken: Sequence[Spoken]) -> list[np.ndarray]:
    """Says which clips can be understood, as far as figures tell.

    A clip must last 0.1-2 s and not be clipped; its take must have at least
    half of its words nearer to the typical clip of that word than to that of any other.

    Args:
        spoken: takes of the same words, in order.

    Returns:
        bool[words] per take.
    """
    features = np.stack([take.features for take in spoken])
    typical = np.median(features, axis=0)  # [words, frames, bands]
    distance = np.stack([np.abs(features - word).mean(axis=(2, 3)) for word in typical], axis=2)
    right = (distance.argmin(axis=2) == np.arange(len(typical))).mean(axis=1)
    return [
        (take.seconds >= 0.1) & (take.seconds <= 2.0) & (take.clipped <= 0.01) & (share >= 0.5)
        for take, share in zip(spoken, right, strict=True)
    ]


def scan_writers(count: int) -> list[int]:
    """Returns the writer of each of scikit-learn's first `count` scans."""
    return [bisect.bisect_right(WRITER_STARTS, index) - 1 for index in range(count)]


def split_writers(seed: int) -> list[str]:
    """Gives each writer to a split; returns the splits by writer."""
    order = iter(np.random.default_rng([seed, 3]).permutation(len(WRITER_STARTS)).tolist())
    splits = ["train"] * len(WRITER_STARTS)
    for split, count in WRITERS.items():
        for writer in itertools.islice(order, count):
            splits[writer] = split
    return splits


def _write_scans(folder: Path, seed: int, limit: int | None) -> Iterator[dict[str, str]]:
    from sklearn.datasets import load_digits  # seconds to import

    data = load_digits()
    writers = scan_writers(len(data.target))
    split_of = split_writers(seed)
    # A form begins with the ten digits in order, so its first ten are one of each.
    share = max(10, (limit or len(writers)) // len(WRITER_STARTS))
    for index, (scan, label, writer) in enumerate(zip(data.images, data.target, writers, strict=True)):
        if limit is not None and index - WRITER_STARTS[writer] >= share:
            continue
        grey = Image.fromarray(np.round(scan * (255 / 16)).astype(np.uint8))
        file = f"scan-{index:04d}.png"
        grey.resize((_SCAN_PIXELS, _SCAN_PIXELS), Image.Resampling.BICUBIC).save(folder / file)
        yield {
            "id": f"scan-{index:04d}",
            "image": f"images/{file}",
            "label": str(label),
            "split": split_of[writer],
            "writer": str(writer),
        }


def write_manifest(path: Path, rows: Sequence[dict[str, str]], columns: Sequence[str]) -> Path:
    """Writes a manifest whole or not at all; what a row lacks is empty."""
    temporary = path.with_suffix(".csv.part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return temporary.replace(path)
