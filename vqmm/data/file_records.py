"""Loose files as records: exactly as `prepare` would store them, without writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vqmm.config import Data
from vqmm.data.records import Records
from vqmm.data.shards import NO_LABEL
from vqmm.data.workers import encode_file
from vqmm.errors import UnreadableFile


def file_records(paths: Sequence[str | Path], modality: str, data: Data) -> Records:
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
    return Records(
        ids=np.array([str(path) for path in paths], object),
        items=np.full(count, -1, np.int64),
        labels=np.full(count, NO_LABEL, np.int64),
        captions=np.array([""] * count, object),
        lengths=np.array([record.length for record in encoded], np.int64),
        data=[record.data for record in encoded],
        extra=[{} for _ in encoded],
    )
