"""The folder of an index: generations of files that one small JSON file points to."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.atomic import appending, replacing, write_atomic
from vqmm.errors import UserError
from vqmm.lock import hold

FORMAT_VERSION = 2
POINTER = "index.json"
LOCK = "lock"
# A reader that opened an earlier generation, perhaps on another machine that shares the folder, may open
# files of it for so long after they were superseded.
GRACE_SECONDS = 3600.0
OLD_FILES = 4  # of each kind stay at most, so that many writings in that time do not fill the disk
READS = 5  # a writer may replace the generation between our reading the pointer and the files

Bytes = npt.NDArray[np.uint8]


class Stored(NamedTuple):
    """One generation, as read.

    Attributes:
        facts: what `index.json` says.
        files: content by kind, u8[bytes]; a kind that grows by files has several.
    """

    facts: dict[str, Any]
    files: dict[str, list[Bytes]]


class Content(NamedTuple):
    """What to write for one kind of file.

    Attributes:
        blocks: buffers, written one after the other.
        how: `"whole"` replaces what was there, `"append"` adds to the end of its file,
            `"beside"` adds another file.
    """

    blocks: Iterable[Any]
    how: str = "whole"


def write_generation(
    folder: str | Path,
    before: int,
    facts: Mapping[str, Any],
    files: Mapping[str, Content | None],
    keep: bool = False,
) -> int:
    """Writes the next generation: its files first, `index.json` last, then drops files that no longer count.

    Files of earlier generations stay for `GRACE_SECONDS` after they were superseded, `OLD_FILES` of
    each kind, for readers that have opened those; a later writing drops them.

    Bytes that an earlier generation counts are never touched, so a writer that is killed
    leaves that generation; bytes behind them are not read and go with the next writing.

    Args:
        folder: made where it is missing.
        before: generation that the writer started from, 0 for none.
        facts: go into `index.json`.
        files: content by kind; the kind is the file's name, as `items.parquet`. None: it goes.
        keep: kinds that `files` does not name stay as they are; else they go.

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
        pointer = _pointer(folder) if before else {}
        held: dict[str, list[dict[str, Any]]] = pointer.get("files", {})
        parts = dict(held) if keep else {}
        for kind, content in files.items():
            before_it = parts.pop(kind, [])
            if content is not None:
                parts[kind] = _write(folder, kind, content, before_it, before + 1)
        superseded = _superseded(pointer.get("superseded", {}), _names(held) - _names(parts))
        tree = {"format_version": FORMAT_VERSION, "generation": before + 1, **facts, "files": parts}
        write_atomic(folder / POINTER, json.dumps(tree | {"superseded": superseded}, indent=2) + "\n")
        _drop_others(folder, _names(parts) | superseded.keys(), [*held, *files])
    return before + 1


def read_generation(folder: str | Path, mapped_from: int | None = None) -> Stored:
    """Reads the newest whole generation.

    Args:
        folder: that `write_generation` filled.
        mapped_from: files of so many bytes are mapped into memory in place of read, and only
            their length is checked, else the checksum is; None maps none.

    Raises:
        UserError: no index there, one of another format, or a damaged one.
    """
    folder = Path(folder)
    facts = _pointer(folder)
    for _ in range(READS):
        try:
            files = {
                kind: [_read(folder / name, entries, mapped_from) for name, entries in _by_name(parts)]
                for kind, parts in facts["files"].items()
            }
            return Stored(facts, files)
        except FileNotFoundError as error:
            missing, before = error.filename, facts["generation"]
            facts = _pointer(folder)
            if facts["generation"] == before:
                raise UserError(f"{missing} is missing; build the index again") from None
    raise UserError(f"{folder} is being rewritten again and again; try later")


def generation_of(folder: str | Path) -> int:
    """Number of the newest generation in a folder, 0 where there is none.

    Raises:
        UserError: it is of another format or damaged.
    """
    return _pointer(Path(folder))["generation"] if (Path(folder) / POINTER).exists() else 0


def _write(
    folder: Path, kind: str, content: Content, held: list[dict[str, Any]], generation: int
) -> list[dict[str, Any]]:
    stem, _, suffix = kind.rpartition(".")
    name = f"{stem}-{generation:06d}.{suffix}"
    if content.how != "append" or not held:
        with replacing(folder / name) as part, part.open("wb") as file:
            entry = {"name": name, **_copy(content.blocks, file)}
        return [*held, entry] if content.how == "beside" else [entry]
    name = held[-1]["name"]
    with appending(folder / name, sum(entry["bytes"] for entry in held)) as file:
        entry = {"name": name, **_copy(content.blocks, file)}
    return [*held, entry]


def _copy(blocks: Iterable[Any], file: Any) -> dict[str, Any]:
    digest, length = hashlib.sha256(), 0
    for block in blocks:
        data = memoryview(block).cast("B") if len(block) else b""
        file.write(data)
        digest.update(data)
        length += len(data)
    return {"bytes": length, "sha256": digest.hexdigest()}


def _read(path: Path, entries: list[dict[str, Any]], mapped_from: int | None) -> Bytes:
    length = sum(entry["bytes"] for entry in entries)
    if path.stat().st_size < length:
        raise UserError(f"{path} is damaged (it is too short); build the index again")
    if not length:
        return np.empty(0, np.uint8)
    if mapped_from is not None and length >= mapped_from:
        return np.memmap(path, np.uint8, "r", shape=(length,))
    content = np.fromfile(path, np.uint8, length)
    start = 0
    for entry in entries:
        stop = start + entry["bytes"]
        if hashlib.sha256(content[start:stop].data).hexdigest() != entry["sha256"]:
            raise UserError(f"{path} is damaged (its checksum differs); build the index again")
        start = stop
    return content


def _by_name(parts: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The parts of each file, in order."""
    for name in dict.fromkeys(entry["name"] for entry in parts):
        yield name, [entry for entry in parts if entry["name"] == name]


def _names(parts: Mapping[str, list[dict[str, Any]]]) -> set[str]:
    return {entry["name"] for entries in parts.values() for entry in entries}


def _superseded(before: Mapping[str, float], new: Iterable[str]) -> dict[str, float]:
    """Names files of earlier generations that stay, and since when they are superseded."""
    now = time.time()
    found = {name: since for name, since in before.items() if now - since < GRACE_SECONDS}
    found |= dict.fromkeys(sorted(new), now) if GRACE_SECONDS else {}
    kept: dict[str, list[str]] = {}
    for name in sorted(found, key=lambda name: -found[name]):
        kept.setdefault(name.rpartition("-")[0], []).append(name)
    return {name: found[name] for names in kept.values() for name in names[:OLD_FILES]}


def _drop_others(folder: Path, kept: Collection[str], kinds: Iterable[str]) -> None:
    """Removes files of some kinds that are not among those to keep."""
    for kind in dict.fromkeys(kinds):
        stem, _, suffix = kind.rpartition(".")
        for pattern in (f"{stem}-[0-9]*.{suffix}", f".{stem}-[0-9]*.{suffix}.part"):
            for path in folder.glob(pattern):
                if path.name not in kept:
                    path.unlink(missing_ok=True)


def _pointer(folder: Path) -> dict[str, Any]:
    path = folder / POINTER
    sound = False
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        version = facts["format_version"]
        if version == FORMAT_VERSION:
            entries = [entry for parts in facts["files"].values() for entry in parts]
            sound = isinstance(facts["generation"], int) and all(
                Path(entry["name"]).name == entry["name"] and entry["bytes"] >= 0 and entry["sha256"]
                for entry in entries
            )
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder} holds no index (no {POINTER}); vqmm index --run RUN --data DATA "
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
