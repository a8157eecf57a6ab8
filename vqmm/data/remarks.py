"""`prepare` reports what was odd about files that it could read in `remarks.csv`, beside `rejected.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.atomic import write_atomic
from vqmm.data.manifest import Row
from vqmm.data.plan import Shard
from vqmm.data.workers import Encoded

FILE = "file"  # how it was read: its header, its channels
WINDOW = "window"  # it is longer than the model's window


class Remark(NamedTuple):
    """A line of `remarks.csv`."""

    row: int
    id: str
    path: str
    kind: str
    remark: str


def remarks_on(encoded: Encoded) -> dict[str, list[str]]:
    """Returns what is to be reported of a file that was read, texts by kind; mostly nothing."""
    found = {FILE: list(encoded.notes)} if encoded.notes else {}
    if encoded.used is not None and encoded.used.is_cut:
        found[WINDOW] = [encoded.used.sentence()]
    return found


def write_remarks(
    path: Path, rows: Sequence[Row], shards: Sequence[Shard], notes: Mapping[str, Any], folder: Path
) -> None:
    """Writes `remarks.csv`.

    Args:
        path: of the file.
        rows: of the manifest.
        shards: all of them.
        notes: on each by its name, see `vqmm.data.shard_writer.write_shard`.
        folder: that paths are relative to.
    """
    found = [
        Remark(number, rows[number - 1].id, entry.path.relative_to(folder).as_posix(), kind, text)
        for shard in shards
        for entry in shard.entries
        for kind, texts in notes[shard.name].get("remarks", {}).get(entry.id, {}).items()
        for text in texts
        for number in entry.rows
    ]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(Remark._fields)
    writer.writerows(sorted(set(found)))
    write_atomic(path, lines.getvalue())


def count_remarks(path: Path) -> dict[str, int]:
    """Counts the files of `remarks.csv` by kind; of data that was prepared before there was one, none."""
    files: dict[str, set[str]] = {FILE: set(), WINDOW: set()}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                files.setdefault(line["kind"], set()).add(line["path"])
    return {kind: len(paths) for kind, paths in files.items()}
