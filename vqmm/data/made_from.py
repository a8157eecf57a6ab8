"""The file beside prepared data that says what it was made from, so that changes are found later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.atomic import write_atomic
from vqmm.data.file_hashes import FileHash

NAME = "made_from.json"
VERSION = 1


class MadeFrom(NamedTuple):
    """The record of what the shards of a folder were made from.

    Attributes:
        files: by their path relative to the manifest's folder; None for those that could not be read.
        notes: by shard, see `vqmm.data.shard_writer.write_shard`.
    """

    files: dict[str, FileHash | None]
    notes: dict[str, Any]


def read_made_from(folder: Path) -> MadeFrom | None:
    """Reads it; None where it is missing, damaged or of another version."""
    try:
        tree = json.loads((folder / NAME).read_text(encoding="utf-8"))
        if tree["version"] != VERSION:
            return None
        files = {name: found and FileHash(*found) for name, found in tree["files"].items()}
        return MadeFrom(files, dict(tree["shards"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_made_from(
    folder: Path, files: Mapping[str, FileHash | None], notes: Mapping[str, Any] | None = None
) -> None:
    """Writes it, unless it says the same already."""
    tree = {"version": VERSION, "files": dict(files), "shards": dict(sorted((notes or {}).items()))}
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).replace('],"', '],\n"') + "\n"
    path = folder / NAME
    if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
        write_atomic(path, text)
