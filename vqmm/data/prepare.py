"""Manifest to TFRecord shards: parallel, resumable, the same bytes every time."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import joblib

from vqmm.atomic import write_atomic
from vqmm.config import Config
from vqmm.data.beam_runner import write_shards_by_beam
from vqmm.data.file_hashes import FileHash, differing, hash_files
from vqmm.data.made_from import MadeFrom, read_made_from, write_made_from
from vqmm.data.manifest import Row, read_manifest
from vqmm.data.plan import Plan, Shard, plan_shards
from vqmm.data.records import FORMAT_VERSION, Dataset
from vqmm.data.remarks import count_remarks, write_remarks
from vqmm.data.resume import (
    claimed,
    current_shards,
    discard,
    finished_shards,
    identity,
    record_of_finished,
    refuse_other,
    remove_others,
    reopen,
)
from vqmm.data.shard_writer import write_shard
from vqmm.data.shards import SPLITS
from vqmm.data.splits import Divided, assign_splits, divided_groups
from vqmm.data.workers import encode_files
from vqmm.errors import UserError
from vqmm.phase_progress import PhaseProgress


class Changes(NamedTuple):
    """How the files of a folder that was prepared before have changed since.

    Attributes:
        changed: names of files with other content than then, among them those that could not be read.
        gone: names of files that were there then; what was made from them is kept.
        known: False where an earlier version prepared the folder, which did not record the content.
    """

    changed: list[str]
    gone: list[str]
    known: bool = True


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        dataset: the folder, opened.
        rows: of the manifest.
        rejected: rows with a file that could not be read.
        reused: shards that an earlier run had finished and that were taken over by this one; 0
            where there was nothing to do.
        made: shards that were written.
        in_two_splits: files that the manifest names in more than one split.
        divided: items, with all that has equal content, that the manifest puts into more than one split.
        empty_splits: splits that got nothing, where splits were assigned here.
        changes: what became of files since the folder was prepared before.
        remarks: files that were read with a remark, by kind, see `vqmm.data.remarks`.
        seconds: that it took.
    """

    dataset: Dataset
    rows: int
    rejected: int
    reused: int
    made: int
    in_two_splits: int
    divided: list[Divided]
    empty_splits: list[str]
    changes: Changes
    remarks: dict[str, int]
    seconds: float


class Rejection(NamedTuple):
    """A line of `rejected.csv`."""

    row: int
    id: str
    path: str
    reason: str


def prepare(
    manifest: str | Path,
    config: Config,
    out: str | Path,
    *,
    name: str | None = None,
    workers: int | None = None,
    progress: bool = True,
    beam: Sequence[str] | None = None,
    work: Path | None = None,
    force: bool = False,
    files: Path | None = None,
) -> Prepared:
    """Decodes what a manifest names and writes shards, `dataset.json`, `rejected.csv` and `remarks.csv`.

    Rows without a split are split by a hash of their item, about 80/10/10, equal content together
    (`vqmm.data.splits`). The shards depend on the manifest, the files it names and the config
    alone. An interrupted run goes on where it stopped. A finished folder is compared with its
    files, by size and time and, where those differ, by content: shards with changed or mended
    files are made again, and without a change it is left as it is. `dataset.json` comes last: a
    folder without it is not prepared. `made_from.json` holds what the files were.

    Args:
        manifest: CSV, JSONL or Parquet, see `vqmm.data.manifest`.
        config: ``data`` and ``seed`` count here.
        out: folder to write.
        name: of the data; the manifest's folder by default.
        workers: processes; all cores by default.
        progress: show a bar on a terminal, and a line now and then elsewhere.
        beam: options of Apache Beam, which then does the work in place of `workers`, see
            `vqmm.data.beam_runner`; None for the processes of this machine. The files are the same.
        work: what `vqmm.data.resume.claimed` gave for `out`, where the caller holds it already.
        force: make all shards anew, whatever `out` holds.
        files: folder that the manifest's paths are relative to; the manifest's own by default.

    Returns:
        A `Prepared`.

    Raises:
        UserError: a bad manifest; an `out` with other data, or in use; more bad
            rows than ``data.max_rejected`` (`rejected.csv` says which); a full disk; a file that
            changes meanwhile; shards to be made again of which files are gone.
    """
    began = time.monotonic()
    manifest, out = Path(manifest), Path(out)
    folder = (files or manifest.parent).resolve()
    rows = read_manifest(manifest, folder)
    made_from = identity(manifest, rows, config)
    cores = workers or joblib.cpu_count()
    with claimed(out) if work is None else contextlib.nullcontext(work) as work:
        if not force:
            refuse_other(out, work, made_from)
        finished = (out / "dataset.json").exists() and not force
        record = record_of_finished(out) if finished else None
        known = record or (None if force else read_made_from(work))
        hashes = _hashes(rows, folder, known, cores, progress)
        changes = _changes(record, finished, hashes)
        if finished:  # what is gone was there then: nothing made from it is lost
            hashes |= {name: record.files[name] for name in changes.gone} if record else {}
        contents = {folder / name: found.sha256 for name, found in hashes.items() if found and found.size}
        divided = divided_groups(rows, contents)
        free = not all(row.split for row in rows)
        rows = assign_splits(rows, config.seed, contents)
        plan = plan_shards(rows, folder, config.data, {folder / name: h for name, h in hashes.items()})
        notes: dict[str, Any] = {}
        done, todo = len(plan.shards), list[Shard]()
        if finished and record is not None:
            notes = current_shards(out, record, plan.shards, progress)
            if len(notes) < len(plan.shards) or notes.keys() != record.notes.keys():
                _refuse_without(changes, out)
                reopen(out, work, made_from, notes)
                finished = False
            else:
                write_made_from(out, hashes, notes)
        if not finished:
            if force:
                discard(out, work)
            write_atomic(work / "plan.json", _json(made_from))
            write_made_from(work, hashes)
            notes = finished_shards(out, work, plan.shards)
            done = len(notes)
            todo = [shard for shard in plan.shards if shard.name not in notes]
            if beam is not None:
                notes |= write_shards_by_beam(todo, config.data, out, work, beam, progress)
            else:
                notes |= _write_shards(todo, config, out, work, cores, progress)
            rejections = _rejections(rows, plan.shards, notes, folder)
            _write_rejected(out / "rejected.csv", rejections)
            write_remarks(out / "remarks.csv", rows, plan.shards, notes, folder)
            _refuse_many(rejections, len(rows), config.data.max_rejected, plan.shards, notes, out)
            tree = _describe(plan, notes, config, name or folder.name, made_from)
            write_made_from(out, hashes, notes)
            write_atomic(out / "dataset.json", _json(tree))
            remove_others(out, plan.shards)
        (work / "plan.json").unlink(missing_ok=True)  # all done: the notes may go
    dataset = Dataset.open(out)
    return Prepared(
        dataset=dataset,
        rows=len(rows),
        rejected=_count_rejected(out / "rejected.csv"),
        reused=done if todo else 0,
        made=len(todo),
        in_two_splits=_in_two_splits(plan.shards),
        divided=divided,
        empty_splits=[split for split in SPLITS if free and not any(row.split == split for row in rows)],
        changes=changes,
        remarks=count_remarks(out / "remarks.csv"),
        seconds=time.monotonic() - began,
    )


def _hashes(
    rows: Sequence[Row], folder: Path, known: MadeFrom | None, workers: int, progress: bool
) -> dict[str, FileHash | None]:
    """Lists them by path relative to the folder."""
    paths = [file for row in rows for file in (row.audio, row.image) if file is not None]
    before = {folder / name: found for name, found in known.files.items()} if known else {}
    found = hash_files(paths, before, workers, progress)
    return {path.relative_to(folder).as_posix(): one for path, one in found.items()}


def _changes(record: MadeFrom | None, finished: bool, hashes: dict[str, FileHash | None]) -> Changes:
    if record is None:
        return Changes([], [], known=not finished)
    differ = list(differing(record.files, hashes))
    gone = [name for name in differ if hashes.get(name) is None]
    return Changes([name for name in differ if name not in set(gone)], gone)


def _refuse_without(changes: Changes, out: Path) -> None:
    """Stops before a shard is made again without files that it was made from."""
    if changes.gone:
        raise UserError(
            f"{len(changes.gone)} of the files that {out} was made from cannot be read any more "
            f"(first: {changes.gone[0]}), and others or the shards changed; nothing was touched. Put them "
            "back, or give --force to make all anew without them"
        )


def _write_shards(
    shards: Sequence[Shard], config: Config, out: Path, work: Path, workers: int, progress: bool
) -> dict[str, Any]:
    if not shards:
        return {}
    import tensorflow  # noqa: F401  (late, but before the clock of the progress starts)

    files = [(entry.path, entry.modality) for shard in shards for entry in shard.entries]
    encoded = encode_files(files, config.data, min(workers, 1 + len(files) // 16))
    notes = {}
    with PhaseProgress("preparing", "files", len(files), show=progress) as shown:
        try:
            for shard in shards:
                notes[shard.name] = write_shard(shard, encoded, out, shown.advance)
                write_atomic(work / f"{shard.name}.json", _json(notes[shard.name]))
        finally:
            encoded.close()
    return notes


def _rejections(
    rows: Sequence[Row], shards: Sequence[Shard], notes: dict[str, Any], folder: Path
) -> list[Rejection]:
    found = [
        Rejection(row.number, row.id, path, reason) for row in rows for path, reason in row.refused.items()
    ]
    for shard in shards:
        for entry in shard.entries:
            reason = notes[shard.name]["rejected"].get(entry.id)
            if reason is not None:
                relative = entry.path.relative_to(folder).as_posix()
                found += [Rejection(number, rows[number - 1].id, relative, reason) for number in entry.rows]
    return sorted(found)


def _write_rejected(path: Path, rejections: Sequence[Rejection]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Rejection._fields)
    writer.writerows(rejections)
    write_atomic(path, text.getvalue())


def _count_rejected(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return len({line["row"] for line in csv.DictReader(file)})


def _refuse_many(
    rejections: Sequence[Rejection],
    rows: int,
    most: float,
    shards: Sequence[Shard],
    notes: dict[str, Any],
    out: Path,
) -> None:
    bad = len({rejection.row for rejection in rejections})
    first = f"first: row {rejections[0].row}, {rejections[0].path}: {rejections[0].reason}" if bad else ""
    if bad > most * rows:
        raise UserError(
            f"{bad} of {rows} rows ({bad / rows:.1%}) cannot be read, data.max_rejected={most:g} is the "
            f"most; {out / 'rejected.csv'} lists them; {first}"
        )
    if all(len(notes[shard.name]["rejected"]) == len(shard.entries) for shard in shards):
        raise UserError(f"none of the {rows} rows can be read; {out / 'rejected.csv'} lists them; {first}")


def _describe(
    plan: Plan, notes: dict[str, Any], config: Config, name: str, made_from: dict[str, Any]
) -> dict[str, Any]:
    """The content of `dataset.json`."""
    data = config.data
    items: dict[tuple[str, str], list[int]] = {}
    for shard in plan.shards:
        kept = [e.item for e in shard.entries if e.id not in notes[shard.name]["rejected"]]
        items.setdefault((shard.modality, shard.split), []).extend(kept)
    counts = {}
    for split in SPLITS:
        recordings, pictures = items.get(("audio", split), []), items.get(("image", split), [])
        counts[split] = {
            "pairs_items": len(set(recordings) & set(pictures)),
            "recordings": len(recordings),
            "pictures": len(pictures),
        }
    tree = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "spec": {"audio": data.audio.model_dump(mode="json"), "image": data.image.model_dump(mode="json")},
        "pair_by": data.pair_by,
        "label_supervision": data.pair_by == "label",
        "labels": plan.labels,
        "shards": [{"name": s.name, "sha256": notes[s.name]["sha256"]} for s in plan.shards],
    }
    return tree | {
        "checksum": hashlib.sha256(_json(tree).encode()).hexdigest(),
        "counts": counts,
        "recordings": sum(count["recordings"] for count in counts.values()),
        "pictures": sum(count["pictures"] for count in counts.values()),
        "made_from": made_from,
    }


def _in_two_splits(shards: Sequence[Shard]) -> int:
    paths = [entry.path for shard in shards for entry in shard.entries]
    return len(paths) - len(set(paths))


def _json(tree: Any) -> str:
    return json.dumps(tree, indent=1, ensure_ascii=False) + "\n"
