"""Files whose bytes stand inside a table, as Hugging Face's Parquet files have them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from vqmm.atomic import write_atomic


class EmbeddedFile(NamedTuple):
    """A recording or a picture in a cell of a table.

    Attributes:
        content: bytes of the file.
        name: under which the table knows it, "" where it has none.
    """

    content: bytes
    name: str


def write_embedded(manifest: Path, embedded: EmbeddedFile) -> str:
    """Writes an embedded file into the folder ``<manifest>-files`` beside its manifest, unless it is there.

    The file is named by a hash of its content, so that equal content is one file, and that reading a
    manifest again writes nothing.

    Returns:
        Its path relative to the manifest.

    Raises:
        UserError: the disk is full.
        OSError: it cannot be written for another reason.
    """
    found = re.search(r"\.[A-Za-z0-9]{1,5}$", embedded.name)
    name = hashlib.sha256(embedded.content).hexdigest()[:32] + (found[0] if found else "")
    folder = manifest.with_name(f"{manifest.stem}-files")
    target = folder / name
    if not target.is_file() or target.stat().st_size != len(embedded.content):
        folder.mkdir(exist_ok=True)
        write_atomic(target, embedded.content)
    return f"{folder.name}/{name}"
