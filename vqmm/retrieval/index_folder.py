"""The folder of an index: generations of files that one small JSON file points to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.atomic import write_atomic
from vqmm.errors import UserError
from vqmm.training.lock import hold

FORMAT_VERSION = 1
POINTER = "index.json"
LOCK = "lock"
READS = 5  # a writer may replace the generation between our reading the pointer and the files


class Stored(NamedTuple):
    """One generation, as read.

    Attributes:
        facts: what `index.json` says.
        files: content by kind.
    """

    facts: dict[str, Any]
    files: dict[str, bytes]


def write_generation(
    folder: str | Path, before: int, facts: Mapping[str, Any], files: Mapping[str, bytes]
) -> int:
    """Writes the next generation: its files first, `index.json` last, then drops the old files.

    Args:
        folder: made where it is missing.
        before: generation that the writer started from, 0 for none.
        facts: go into `index.json`.
        files: content by kind; the kind is the file's name, as `items.parquet`.

    Returns:
        The number of the new generation.

    Raises:
        UserError: another process wrote in between or is writing, or the disk is full.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; an index is a folder: give another name")
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder / LOCK):
        found = generation_of(folder)
        if found != before:
            raise UserError(
                f"{folder} holds generation {found} of an index, this one started from {before}; "
                "open it again and repeat the addition, or give another folder"
            )
        named = {kind: _name(kind, before + 1) for kind in files}
        for kind, content in files.items():
            write_atomic(folder / named[kind], content)
        tree = {
            "format_version": FORMAT_VERSION,
            "generation": before + 1,
            **facts,
            "files": {
                kind: {"name": named[kind], "sha256": hashlib.sha256(content).hexdigest()}
                for kind, content in files.items()
            },
        }
        write_atomic(folder / POINTER, json.dumps(tree, indent=2) + "\n")
        for kind in files:
            stem, _, suffix = kind.rpartition(".")
            for path in folder.glob(f"{stem}-[0-9]*.{suffix}"):
                if path.name not in named.values():
                    path.unlink(missing_ok=True)
    return before + 1


def read_generation(folder: str | Path) -> Stored:
    """Reads the newest whole generation.

    Raises:
        UserError: no index there, one of another format, or a damaged one.
    """
    folder = Path(folder)
    facts = _pointer(folder)
    for _ in range(READS):
        try:
            files = {kind: (folder / entry["name"]).read_bytes() for kind, entry in facts["files"].items()}
            break
        except FileNotFoundError as error:
            missing, before = error.filename, facts["generation"]
            facts = _pointer(folder)
            if facts["generation"] == before:
                raise UserError(f"{missing} is missing; build the index again") from None
    else:
        raise UserError(f"{folder} is being rewritten again and again; try later")
    for kind, entry in facts["files"].items():
        if hashlib.sha256(files[kind]).hexdigest() != entry["sha256"]:
            raise UserError(
                f"{folder / entry['name']} is damaged (its checksum differs); build the index again"
            )
    return Stored(facts, files)


def generation_of(folder: str | Path) -> int:
    """Number of the newest generation in a folder, 0 where there is none.

    Raises:
        UserError: it is of another format or damaged.
    """
    return _pointer(Path(folder))["generation"] if (Path(folder) / POINTER).exists() else 0


def _name(kind: str, generation: int) -> str:
    stem, _, suffix = kind.rpartition(".")
    return f"{stem}-{generation:06d}.{suffix}"


def _pointer(folder: Path) -> dict[str, Any]:
    path = folder / POINTER
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        version = facts["format_version"]
        if version == FORMAT_VERSION:
            names = [entry["name"] for entry in facts["files"].values()]
            sound = isinstance(facts["generation"], int) and all(Path(name).name == name for name in names)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder} holds no index (no {POINTER}); python -m pipelines.index --run RUN --data DATA "
            f"--out {folder} makes one"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}); build the index again") from None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has index format {version}; this vqmm reads {FORMAT_VERSION}; build it again"
        )
    if not sound:
        raise UserError(f"{path} is damaged; build the index again")
    return facts
