"""MNIST pictures and people who speak digits, through tensorflow-datasets (online).

The recordings are the data set ``spoken_digit`` (six people, 8 kHz), split by
speaker; the pictures are ``mnist``, whose own test split is by writer. A
recording and a picture are a pair when their labels agree.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from vqmm.data.splits import hash_place
from vqmm.errors import UserError
from vqmm.extras import requires_extra
from vqmm.phase_progress import PhaseProgress
from vqmm.system_errors import EXHAUSTED, FULL_DISK, errno_of, mend_of

COLUMNS = ("id", "audio", "image", "label", "split", "speaker")
SAMPLE_RATE = 8_000  # Hz, of spoken_digit
VALIDATION_PICTURES = 1 / 12  # of mnist's train split
SPEAKERS = {"test": 1, "validation": 1}  # the rest is for training


def write_tfds(
    folder: Path, seed: int, *, workers: int = 0, progress: bool = False, limit: int | None = None
) -> Path:
    """Downloads both data sets, writes them as files and ``manifest.csv``.

    Args:
        folder: made where it is missing. The download itself is kept where
            tensorflow-datasets keeps it (``~/tensorflow_datasets``).
        seed: draws the splits.
        workers: unused; tensorflow-datasets reads with all processors.
        progress: show a progress bar on the terminal.
        limit: this many recordings and this many pictures of each of MNIST's splits.

    Returns:
        The path of ``manifest.csv``. A row has a recording (WAV, 8 kHz) or a
        picture (PNG, 28 x 28), its label ``"0"``..``"9"`` and its split.

    Raises:
        UserError: tensorflow-datasets is not installed or cannot fetch the data.
    """
    del workers
    tfds = _tensorflow_datasets()
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    manifest = folder / "manifest.csv"
    temporary = manifest.with_suffix(".csv.part")
    shown = PhaseProgress("writing", "recordings and pictures", show=progress)
    with shown, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for rows in (_recordings(tfds, folder, seed, limit), _pictures(tfds, folder, seed, limit)):
            for row in rows:
                writer.writerow(row)
                shown.advance()
    return temporary.replace(manifest)


def _tensorflow_datasets() -> ModuleType:
    with requires_extra("tfds", "the source tfds"):
        import tensorflow_datasets
    return tensorflow_datasets


def _load(tfds: ModuleType, name: str, split: str, limit: int | None) -> Iterator[dict[str, Any]]:
    try:
        yield from tfds.as_numpy(tfds.load(name, split=split).take(-1 if limit is None else limit))
    except (OSError, tfds.core.download.DownloadError) as error:
        mend = "check the network, or use the source 'digits', which needs none"
        if errno_of(error) in FULL_DISK | EXHAUSTED:
            mend = mend_of(error)
        raise UserError(
            f"tensorflow-datasets could not fetch {name!r}: {' '.join(str(error).split())[:300]}; {mend}"
        ) from None


def _recordings(tfds: ModuleType, folder: Path, seed: int, limit: int | None) -> Iterator[dict[str, str]]:
    rows = []
    for number, example in enumerate(_load(tfds, "spoken_digit", "train", limit)):
        name = example["audio/filename"].decode()
        spoken = re.fullmatch(r"\d_(\w+?)_\d+\.wav", name)
        file = f"audio/{number:05d}.wav"
        clip = np.clip(example["audio"], -32768, 32767).astype(np.int16)
        soundfile.write(folder / file, clip, SAMPLE_RATE, subtype="PCM_16")
        speaker = spoken[1] if spoken else name
        rows.append(
            {"id": f"spoken-{number:05d}", "audio": file, "label": str(example["label"]), "speaker": speaker}
        )
    speakers = sorted({row["speaker"] for row in rows}, key=lambda speaker: hash_place(seed, speaker))
    held_out = iter(speakers)
    split_of = {next(held_out, ""): split for split, count in SPEAKERS.items() for _ in range(count)}
    for row in rows:
        yield {**row, "split": split_of.get(row["speaker"], "train")}


def _pictures(tfds: ModuleType, folder: Path, seed: int, limit: int | None) -> Iterator[dict[str, str]]:
    for part in ("train", "test"):
        for number, example in enumerate(_load(tfds, "mnist", part, limit)):
            name = f"mnist-{part}-{number:05d}"
            Image.fromarray(example["image"][..., 0]).save(folder / "images" / f"{name}.png")
            validation = part == "train" and hash_place(seed, name) < VALIDATION_PICTURES
            yield {
                "id": name,
                "image": f"images/{name}.png",
                "label": str(example["label"]),
                "split": "validation" if validation else part,
            }
