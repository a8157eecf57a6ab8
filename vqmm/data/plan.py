"""Which file becomes which record of which shard: decided before anything is decoded."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from vqmm.config import Data
from vqmm.data.file_hashes import FileHash
from vqmm.data.manifest import Row
from vqmm.data.shards import MODALITIES, NO_LABEL, SPLITS, Modality, shard_name
from vqmm.errors import UserError


@dataclass(frozen=True)
class Entry:
    """A file to decode and what its record shall say (see `vqmm.data.shards.Record`)."""

    path: Path
    modality: Modality
    id: str
    item: int
    label: int
    caption: str
    extra: dict[str, str]
    rows: tuple[int, ...]  # positions in the manifest that name the file
    source: FileHash | None = None  # of the file when the plan was made; None: could not be read


class Shard(NamedTuple):
    """A shard and the files it is made of; a file that cannot be read just leaves a gap."""

    name: str
    modality: Modality
    split: str
    entries: list[Entry]

    def digest(self) -> str:
        """Hex sha256 of what the shard is made from: its files' content, and what its records say."""
        told = [
            (e.id, e.item, e.label, e.caption, e.extra, e.source and e.source.sha256) for e in self.entries
        ]
        text = json.dumps(told, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class Plan(NamedTuple):
    shards: list[Shard]
    labels: list[str]


def plan_shards(
    rows: Sequence[Row], folder: Path, data: Data, hashes: Mapping[Path, FileHash | None] | None = None
) -> Plan:
    """Lays the files of a manifest out in shards.

    A file that many rows of a split name is stored once there. Its record has
    the id that its row gives; the path relative to the manifest where many rows
    name it or none gives an id, and every caption of its rows, a line each. Further
    columns are those of the first row. Labels and items become numbers in sorted order.
    With ``pair_by`` label, the item of a record is its label, and a record
    without a label is an item of its own.

    Args:
        rows: every row with its split.
        folder: that the manifest's paths are relative to, links resolved.
        hashes: of the files, see `Entry.source`.
        data: ``pair_by`` and ``records_per_shard`` count here.

    Returns:
        The shards, by modality and split, in the manifest's order, and the label names.

    Raises:
        UserError: an id that a row gives is also the path of another file.
    """
    hashes = hashes or {}
    labels = sorted({row.label for row in rows if row.label}, key=_natural)
    number_of = {label: number for number, label in enumerate(labels)}
    items = {item: number for number, item in enumerate(sorted({row.item for row in rows}, key=_natural))}
    shards = []
    unlabelled = len(labels)
    for modality in MODALITIES:
        label_of = {getattr(row, modality): row.label for row in rows if row.label}
        for split in SPLITS:
            naming: dict[Path, list[Row]] = defaultdict(list)
            for row in rows:
                if row.split == split and getattr(row, modality):
                    naming[getattr(row, modality)].append(row)
            entries = []
            for path, named_by in naming.items():
                name = label_of.get(path)
                label = number_of[name] if name else NO_LABEL
                item = items[named_by[0].item]
                if data.pair_by == "label":
                    item = label
                    if label == NO_LABEL:
                        item, unlabelled = unlabelled, unlabelled + 1
                entry = _entry(path, modality, named_by, folder, item, label)
                entries.append(replace(entry, source=hashes.get(path)))
            _check_ids(entries, folder)
            count = -(-len(entries) // data.records_per_shard)
            for index in range(count):
                part = entries[index * data.records_per_shard :][: data.records_per_shard]
                shards.append(Shard(shard_name(modality, split, index, count), modality, split, part))
    return Plan(shards, labels)


def _entry(path: Path, modality: Modality, named_by: list[Row], folder: Path, item: int, label: int) -> Entry:
    first = named_by[0]
    relative = path.relative_to(folder).as_posix()
    return Entry(
        path=path,
        modality=modality,
        id=first.id if first.named and len(named_by) == 1 else relative,
        item=item,
        label=label,
        caption="\n".join(dict.fromkeys(row.caption for row in named_by if row.caption)),
        extra=first.extra,
        rows=tuple(row.number for row in named_by),
    )


def _check_ids(entries: Sequence[Entry], folder: Path) -> None:
    by_id: dict[str, Entry] = {}
    for entry in entries:
        other = by_id.setdefault(entry.id, entry)
        if other is not entry:
            raise UserError(
                f"{folder}: the id {entry.id!r} of row {other.rows[0]} or {entry.rows[0]} is also the path "
                "of another row's file; give other ids"
            )


def _natural(name: str) -> tuple[int, int, str]:
    """Whole numbers first and by value, so that 10 follows 9."""
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)
