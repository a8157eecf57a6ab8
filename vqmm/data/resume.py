"""How `prepare` goes on after an interruption, and what it refuses to mix."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vqmm.config import Config
from vqmm.data.manifest import Row
from vqmm.data.plan import Shard
from vqmm.data.records import FORMAT_VERSION
from vqmm.data.shards import file_sha256
from vqmm.errors import UserError

WORK = ".prepare"  # notes on finished shards, for a restart; gone when all is done


def identity(manifest: Path, rows: Sequence[Row], config: Config) -> dict[str, Any]:
    """All that decides the shards, but for the content of the named files.

    Args:
        manifest: the file; its bytes count.
        rows: as read, before splits are assigned.
        config: ``data`` counts, and the seed where it decides splits.
    """
    data = config.data
    audio = data.audio.model_dump(mode="json")
    return {
        "format_version": FORMAT_VERSION,
        "manifest": file_sha256(manifest),
        "split_seed": None if all(row.split for row in rows) else config.seed,
        "data.audio": {key: value for key, value in audio.items() if key != "samples"},
        "data.image": data.image.model_dump(mode="json"),
        "data.pair_by": data.pair_by,
        "data.records_per_shard": data.records_per_shard,
    }


@contextmanager
def claimed(out: Path) -> Iterator[Path]:
    """Makes and holds the folder for notes inside `out`; the system frees it when we die.

    Yields:
        The folder.

    Raises:
        UserError: another process holds it, or `out` is a file.
    """
    work = out / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{out} is a file; --out takes a folder") from None
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{out} is in use by another prepare; wait for it or choose another folder"
            ) from None
        try:
            yield work
        finally:
            if not (work / "plan.json").exists():  # nothing begun, or all done
                shutil.rmtree(work, ignore_errors=True)


def refuse_other(out: Path, work: Path, made_from: dict[str, Any]) -> None:
    """Stops where `out` holds shards of another manifest or spec.

    Raises:
        UserError: naming what differs.
    """
    for path in (out / "dataset.json", work / "plan.json"):
        if not path.exists():
            continue
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
            held = tree["made_from"] if path.name == "dataset.json" else tree
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged; remove {out} or choose another folder") from None
        wrong = [f"{key}={was!r}, now {wanted!r}" for key, was, wanted in _differences("", held, made_from)]
        if wrong:
            state = "holds data" if path.name == "dataset.json" else "holds an unfinished run"
            raise UserError(f"{out} {state} made from {'; '.join(wrong)}; remove it or choose another folder")


def _differences(prefix: str, held: Any, wanted: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(held, dict) and isinstance(wanted, dict):
        for key in sorted(held.keys() | wanted.keys()):
            path = f"{prefix}.{key}" if prefix else key
            yield from _differences(path, held.get(key), wanted.get(key))
    elif held != wanted:
        yield prefix, held, wanted


def finished_shards(out: Path, work: Path, shards: Sequence[Shard]) -> dict[str, Any]:
    """Notes on the shards that an earlier run finished and that are still whole.

    A shard with rejected files is made again: they may have been mended since.
    """
    notes = {}
    for shard in shards:
        path = work / f"{shard.name}.json"
        if path.exists() and (out / shard.name).exists():
            note = json.loads(path.read_text(encoding="utf-8"))
            if not note["rejected"] and file_sha256(out / shard.name) == note["sha256"]:
                notes[shard.name] = note
    return notes
