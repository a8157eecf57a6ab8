"""Loose files as records: exactly as `prepare` would store them, without writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vqmm.config import Data
from vqmm.data.records import Records
from vqmm.data.shards import NO_LABEL
from vqmm.data.used_part import UsedPart
from vqmm.data.workers import encode_file
from vqmm.errors import UnreadableFile


class FileReport(NamedTuple):
    """A file as it was read, with what a person should know of the reading.

    Attributes:
        path: of the file.
        used: the part of a recording that the model is given; None for a picture.
        notes: sentences without their subject, the file.
    """

    path: str
    used: UsedPart | None
    notes: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """The same for JSON."""
        return read_facts(self.used, self.notes)

    def lines(self) -> list[str]:
        """Sentences for a terminal; none where all of the file is used as it states."""
        cut = (self.used.sentence(),) if self.used is not None and self.used.is_cut else ()
        return [f"note: {self.path} {text}" for text in (*self.notes, *cut)]


class ReadFiles(NamedTuple):
    """Files as records, and a report on each."""

    records: Records
    reports: list[FileReport]


def read_facts(used: UsedPart | None, notes: Sequence[str]) -> dict[str, Any]:
    """How a file was read, for JSON: `used` (null for a picture) and `notes`."""
    return {"used": None if used is None else used.facts(), "notes": list(notes)}


def file_records(paths: Sequence[str | Path], modality: str, data: Data) -> Records:
    """Reads files; the records of `read_files`."""
    return read_files(paths, modality, data).records


def read_files(paths: Sequence[str | Path], modality: str, data: Data) -> ReadFiles:
    """Reads files of one modality.

    Args:
        paths: their names become the ids.
        modality: `"audio"` or `"image"`.
        data: specs that they are brought to.

    Raises:
        UnreadableFile: (a UserError) the first file that cannot be read, and why.
    """
    encoded = []
    for path in paths:
        record = encode_file(Path(path), modality, data)
        if record.reason is not None:
            raise UnreadableFile(Path(path), record.reason)
        encoded.append(record)
    count = len(encoded)
    records = Records(
        ids=np.array([str(path) for path in paths], object),
        items=np.full(count, -1, np.int64),
        labels=np.full(count, NO_LABEL, np.int64),
        captions=np.array([""] * count, object),
        lengths=np.array([record.length for record in encoded], np.int64),
        data=[record.data for record in encoded],
        extra=[{} for _ in encoded],
    )
    reports = [
        FileReport(str(path), record.used, record.notes) for path, record in zip(paths, encoded, strict=True)
    ]
    return ReadFiles(records, reports)
