"""Records which items a run was trained on, so that an evaluation on the same ones can say so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.atomic import replacing
from vqmm.data.places import is_url
from vqmm.data.png_chunks import PNG_SIGNATURE
from vqmm.data.records import Dataset, Records, baked
from vqmm.data.stored_audio import read_stored_audio
from vqmm.encoding import KINDS
from vqmm.phase_progress import PhaseProgress

if TYPE_CHECKING:
    from vqmm.training.run_folder import Run, RunFolder

Hashes = npt.NDArray[np.uint64]


class TrainedOn(NamedTuple):
    """How many items of a split a run was trained on, by their content: samples, or the stored PNG.

    Attributes:
        recordings: number of recordings; None where that is not known: the run does not record
            its items, or its own data was prepared to another spec.
        pictures: number of pictures, likewise.
    """

    recordings: int | None
    pictures: int | None


def record_trained_items(run: RunFolder, dataset: Dataset) -> None:
    """Writes the hashes of the training split's items, u64 in order, into the run folder, once.

    Not of data at a URL, all of which would be fetched a second time.
    """
    if not run.trained_items.exists() and not is_url(dataset.folder):
        with replacing(run.trained_items) as part, part.open("wb") as file:
            np.save(file, _hashes(dataset.split("train"), "recording what is trained on"))


def trained_on(runs: Iterable[Run], dataset: Dataset, split: str) -> TrainedOn:
    """Counts the items of a split that any of some runs was trained on.

    Args:
        runs: a run, or a prior's with that of its tokenizer.
        dataset: prepared data.
        split: of the data.
    """
    known = [(run, found) for run in runs if (found := _trained_items(run, dataset)) is not None]
    counts: dict[str, int | None] = {}
    for (modality, kind), records in zip(KINDS.items(), dataset.split(split), strict=True):
        spec = getattr(dataset, modality)
        alike = [found for run, found in known if baked(getattr(run.config.data, modality)) == baked(spec)]
        if not len(records) or not alike:
            counts[kind] = None if len(records) else 0
            continue
        hashes = _hashes([records], f"comparing {kind} with those that were trained on")
        counts[kind] = int(np.isin(hashes, np.concatenate(alike)).sum())
    return TrainedOn(**counts)


def _trained_items(run: Run, dataset: Dataset) -> Hashes | None:
    """The hashes of a run; of one that recorded none, from the data, if it is what it was trained on."""
    from vqmm.training.run_folder import RunFolder

    folder = RunFolder(Path(run.folder))
    if folder.trained_items.exists():
        found: Hashes = np.load(folder.trained_items, allow_pickle=False)
        return found
    data = json.loads(folder.data.read_text(encoding="utf-8")) if folder.data.exists() else {}
    if data.get("checksum") != dataset.checksum:
        return None
    return _hashes(dataset.split("train"), "looking up what was trained on")


def _hashes(parts: Iterable[Records], phase: str) -> Hashes:
    parts = list(parts)
    found: list[bytes] = []
    with PhaseProgress(phase, "items", sum(map(len, parts))) as progress:
        for records in parts:
            for data in records.data:
                found.append(hashlib.blake2b(_content(data), digest_size=8).digest())
                progress.advance()
    return np.sort(np.frombuffer(b"".join(found), "<u8").astype(np.uint64))


def _content(data: bytes) -> bytes:
    """What is the same of a recording whether it is stored as WAV or FLAC: its samples."""
    return data if data.startswith(PNG_SIGNATURE) else read_stored_audio(data).tobytes()
