"""The recordings and pictures behind hits, as files to look at and listen to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqmm.atomic import write_atomic
from vqmm.data.records import Dataset
from vqmm.errors import UserError
from vqmm.retrieval.protocol import Item

SUFFIXES = {"audio": ".flac", "image": ".png"}


def save_hits(dataset: Dataset, items: Sequence[Item], folder: str | Path) -> list[Path]:
    """Writes the stored form of items: FLAC or PNG, named by rank.

    Args:
        dataset: the data that was indexed.
        items: best first.
        folder: made where it is missing.

    Returns:
        One path an item.

    Raises:
        UserError: an item that this data does not hold.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    held = {name: dataset.split(name) for name in sorted({item.split for item in items})}
    rows = {
        (name, modality): {id: row for row, id in enumerate(records.ids)}
        for name, split in held.items()
        for modality, records in zip(("audio", "image"), split, strict=True)
    }
    paths = []
    for rank, item in enumerate(items, start=1):
        row = rows[item.split, item.modality].get(item.id)
        if row is None:
            raise UserError(
                f"{dataset.folder} has no {item.modality} {item.id!r} in split {item.split!r}; "
                "give the --data that was indexed"
            )
        split = held[item.split]
        records = split.recordings if item.modality == "audio" else split.pictures
        path = folder / f"{rank:03d}-{safe_name(item.id)}{SUFFIXES[item.modality]}"
        write_atomic(path, records.data[row])
        paths.append(path)
    return paths


def safe_name(text: str) -> str:
    """An id as a file name: letters, digits and ``.-_`` stay, the rest becomes ``_``."""
    kept = "".join(c if c.isalnum() or c in ".-_" else "_" for c in text)
    return kept[-100:].lstrip(".") or "item"
