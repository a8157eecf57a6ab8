"""The recordings and pictures behind hits, as files to look at and listen to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vqmm.atomic import write_atomic
from vqmm.data.records import Dataset, Records
from vqmm.data.stored_audio import SUFFIXES, stored_audio
from vqmm.errors import UserError
from vqmm.retrieval.protocol import Item
from vqmm.tokens import MODALITIES


class StoredItems:
    """What prepared data holds of the items of an index: the files that hits stand for.

    Args:
        dataset: the data that was indexed.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._rows: dict[tuple[str, str], tuple[Records, dict[str, int]]] = {}

    def data(self, item: Item) -> bytes:
        """The stored form of an item, WAV, FLAC or PNG.

        Raises:
            UserError: this data does not hold it.
        """
        if (item.split, item.modality) not in self._rows:
            for modality, records in zip(MODALITIES, self.dataset.split(item.split), strict=True):
                self._rows[item.split, modality] = records, {id: row for row, id in enumerate(records.ids)}
        records, rows = self._rows[item.split, item.modality]
        if item.id not in rows:
            raise UserError(
                f"{self.dataset.folder} has no {item.modality} {item.id!r} in split {item.split!r}; "
                "give the --data that was indexed"
            )
        return records.data[rows[item.id]]


def save_hits(
    dataset: Dataset, items: Sequence[Item], ranks: Sequence[int], folder: str | Path
) -> list[Path]:
    """Writes the stored form of items: WAV, FLAC or PNG, named by rank and id.

    Args:
        dataset: the data that was indexed.
        items: best first.
        ranks: of the items; equal scores share one (`vqmm.retrieval.ranks.shared_ranks`).
        folder: made where it is missing.

    Returns:
        One path an item.

    Raises:
        UserError: an item that this data does not hold.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored = StoredItems(dataset)
    paths: dict[Path, None] = {}  # in order
    for rank, item in zip(ranks, items, strict=True):
        data = stored.data(item)
        suffix = SUFFIXES[stored_audio(data)] if item.modality == "audio" else ".png"
        name = f"{rank:03d}-{safe_name(item.id)}"
        path, number = folder / f"{name}{suffix}", 1
        while path in paths:
            number += 1
            path = folder / f"{name}-{number}{suffix}"
        write_atomic(path, data)
        paths[path] = None
    return list(paths)


def safe_name(text: str) -> str:
    """An id as a file name: letters, digits and ``.-_`` stay, the rest becomes ``_``."""
    kept = "".join(c if c.isalnum() or c in ".-_" else "_" for c in text)
    return kept[-100:].lstrip(".") or "item"


def safe_names(texts: Iterable[str]) -> list[str]:
    """As `safe_name`, each another: of those that would be alike, the later ones get a number."""
    names: dict[str, None] = {}  # in order
    for text in texts:
        name = first = safe_name(text)
        number = 1
        while name in names:
            number += 1
            name = f"{first}-{number}"
        names[name] = None
    return list(names)
