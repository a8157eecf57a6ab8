"""How `prepare` goes on after an interruption or after a change of its files, and what it refuses to mix."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vqmm.atomic import write_atomic
from vqmm.config import Config
from vqmm.data.file_hashes import hash_files
from vqmm.data.made_from import MadeFrom, read_made_from
from vqmm.data.manifest import Row
from vqmm.data.plan import Shard
from vqmm.data.records import EARLIER_STORED_AS, FORMAT_VERSION
from vqmm.data.shards import file_sha256, is_shard_name
from vqmm.errors import UserError
from vqmm.lock import hold

WORK = ".prepare"  # notes on finished shards, for a restart; gone when all is done
SPLIT_RULE = "hash of each item"  # of `vqmm.data.splits`; data that was split otherwise is other data


def identity(manifest: Path, rows: Sequence[Row], config: Config) -> dict[str, Any]:
    """All that decides the shards, but for the content of the named files.

    Args:
        manifest: the file; its bytes count.
        rows: as read, before splits are assigned.
        config: ``data`` counts, and the seed where it decides splits.
    """
    data = config.data
    audio = data.audio.model_dump(mode="json")
    splits: dict[str, Any] = {"split_seed": None}
    if not all(row.split for row in rows):
        splits = {"split_seed": config.seed, "split_by": SPLIT_RULE}
    return {
        "format_version": FORMAT_VERSION,
        "manifest": file_sha256(manifest),
        **splits,
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
        UserError: another process holds it, its file system has no locks, or `out` is a file.
    """
    work = out / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{out} is a file; --out takes a folder") from None
    with hold(work / "lock", f"{out} is in use by another prepare; wait for it or choose another folder"):
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
            held["data.audio"] = {"stored_as": EARLIER_STORED_AS, **held["data.audio"]}
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path} is damaged; choose another folder, or make this one anew with --force"
            ) from None
        wrong = [f"{key}={was!r}, now {wanted!r}" for key, was, wanted in _differences("", held, made_from)]
        if wrong:
            state = "holds data" if path.name == "dataset.json" else "holds an unfinished run"
            raise UserError(
                f"{out} {state} made from {'; '.join(wrong)}; remove it or choose another folder, or "
                "make it anew with --force"
            )


def _differences(prefix: str, held: Any, wanted: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(held, dict) and isinstance(wanted, dict):
        for key in sorted(held.keys() | wanted.keys()):
            path = f"{prefix}.{key}" if prefix else key
            yield from _differences(path, held.get(key), wanted.get(key))
    elif held != wanted:
        yield prefix, held, wanted


def finished_shards(out: Path, work: Path, shards: Sequence[Shard]) -> dict[str, Any]:
    """Notes on the shards that an earlier run finished and that are still whole and up to date.

    A shard is made again if a file of it has other content now, or if one was rejected: it may
    have been for want of memory.
    """
    notes = {}
    for shard in shards:
        path = work / f"{shard.name}.json"
        if not path.exists() or not (out / shard.name).exists():
            continue
        note = json.loads(path.read_text(encoding="utf-8"))
        same = note.get("made_from") == shard.digest() and not note["rejected"]
        if same and file_sha256(out / shard.name) == note["sha256"]:
            notes[shard.name] = note
    return notes


def record_of_finished(out: Path) -> MadeFrom | None:
    """Returns the record of what the shards of a finished folder were made from.

    Returns:
        None where that was not recorded, as by versions before 0.2, or is of other shards.
    """
    record = read_made_from(out)
    tree = json.loads((out / "dataset.json").read_text(encoding="utf-8"))
    shards = {shard["name"]: shard["sha256"] for shard in tree["shards"]}
    if record is None or {name: note["sha256"] for name, note in record.notes.items()} != shards:
        return None
    return record


def current_shards(
    out: Path, record: MadeFrom, shards: Sequence[Shard], show: bool = False
) -> dict[str, Any]:
    """Notes on the shards of a finished folder that are whole and made from what their files hold now."""
    same = [
        shard.name
        for shard in shards
        if shard.name in record.notes and record.notes[shard.name]["made_from"] == shard.digest()
    ]
    hashes = hash_files([out / name for name in same], show=show)
    held = {path.name: found.sha256 for path, found in hashes.items() if found}
    return {name: record.notes[name] for name in same if held.get(name) == record.notes[name]["sha256"]}


def reopen(out: Path, work: Path, made_from: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
    """Makes a finished folder an unfinished one of which some shards are done.

    Whenever this is killed, the folder is finished as before or unfinished with the notes.
    """
    for name, note in notes.items():
        write_atomic(work / f"{name}.json", json.dumps(note))
    write_atomic(work / "plan.json", json.dumps(made_from))
    (out / "dataset.json").unlink()


def discard(out: Path, work: Path) -> None:
    """Forgets that shards of `out` are finished, so that all are made anew."""
    (out / "dataset.json").unlink(missing_ok=True)
    for note in work.glob("*.json"):
        note.unlink()


def remove_others(out: Path, shards: Sequence[Shard]) -> None:
    """Removes shards that an earlier plan laid out and this one does not have."""
    names = {shard.name for shard in shards}
    for path in out.glob("*.tfrecord"):
        if is_shard_name(path.name) and path.name not in names:
            path.unlink()
