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
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vqmm.atomic import write_atomic
from vqmm.config import Config
from vqmm.data.beam_runner import write_shards_by_beam
from vqmm.data.manifest import Row, read_manifest
from vqmm.data.plan import Plan, Shard, plan_shards
from vqmm.data.records import FORMAT_VERSION, Dataset
from vqmm.data.remarks import count_remarks, write_remarks
from vqmm.data.resume import claimed, finished_shards, identity, refuse_other
from vqmm.data.shard_writer import write_shard
from vqmm.data.shards import SPLITS
from vqmm.data.splits import assign_splits
from vqmm.data.workers import encode_files
from vqmm.errors import UserError


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        dataset: the folder, opened.
        rows: of the manifest.
        rejected: rows with a file that could not be read.
        reused: shards that an earlier, interrupted run had finished.
        in_two_splits: files that the manifest names in more than one split.
        remarks: files that were read with a remark, by kind, see `vqmm.data.remarks`.
        seconds: that it took.
    """

    dataset: Dataset
    rows: int
    rejected: int
    reused: int
    in_two_splits: int
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
) -> Prepared:
    """Decodes what a manifest names and writes shards, `dataset.json`, `rejected.csv` and `remarks.csv`.

    Rows without a split are split by item, 80/10/10, by ``config.seed``
    (`vqmm.data.splits`). The shards depend on the manifest, the files it names
    and the config alone. An interrupted run goes on where it stopped; a
    finished one is left as it is. `dataset.json` comes last: a folder without
    it is not prepared.

    Args:
        manifest: CSV, JSONL or Parquet, see `vqmm.data.manifest`.
        config: ``data`` and ``seed`` count here.
        out: folder to write.
        name: of the data; the manifest's folder by default.
        workers: processes; all cores by default.
        progress: show a bar on a terminal.
        beam: options of Apache Beam, which then does the work in place of `workers`, see
            `vqmm.data.beam_runner`; None for the processes of this machine. The files are the same.
        work: what `vqmm.data.resume.claimed` gave for `out`, where the caller holds it already.

    Returns:
        A `Prepared`.

    Raises:
        UserError: a bad manifest; an `out` with other data, or in use; more bad
            rows than ``data.max_rejected`` (`rejected.csv` says which); a full disk.
    """
    began = time.monotonic()
    manifest, out = Path(manifest), Path(out)
    rows = read_manifest(manifest)
    made_from = identity(manifest, rows, config)
    rows = assign_splits(rows, config.seed)
    folder = manifest.parent.resolve()
    plan = plan_shards(rows, folder, config.data)
    with claimed(out) if work is None else contextlib.nullcontext(work) as work:
        refuse_other(out, work, made_from)
        notes: dict[str, Any] = {}
        reused = 0
        if not (out / "dataset.json").exists():
            write_atomic(work / "plan.json", _json(made_from))
            notes = finished_shards(out, work, plan.shards)
            reused = len(notes)
            todo = [shard for shard in plan.shards if shard.name not in notes]
            if beam is not None:
                notes |= write_shards_by_beam(todo, config.data, out, work, beam)
            else:
                notes |= _write_shards(todo, config, out, work, workers or joblib.cpu_count(), progress)
            rejections = _rejections(rows, plan.shards, notes, folder)
            _write_rejected(out / "rejected.csv", rejections)
            write_remarks(out / "remarks.csv", rows, plan.shards, notes, folder)
            _refuse_many(rejections, len(rows), config.data.max_rejected, plan.shards, notes, out)
            tree = _describe(plan, notes, config, name or folder.name, made_from)
            write_atomic(out / "dataset.json", _json(tree))
        (work / "plan.json").unlink(missing_ok=True)  # all done: the notes may go
    return Prepared(
        dataset=Dataset.open(out),
        rows=len(rows),
        rejected=_count_rejected(out / "rejected.csv"),
        reused=reused,
        in_two_splits=_in_two_splits(plan.shards),
        remarks=count_remarks(out / "remarks.csv"),
        seconds=time.monotonic() - began,
    )


def _write_shards(
    shards: Sequence[Shard], config: Config, out: Path, work: Path, workers: int, progress: bool
) -> dict[str, Any]:
    if not shards:
        return {}
    files = [(entry.path, entry.modality) for shard in shards for entry in shard.entries]
    encoded = encode_files(files, config.data, min(workers, 1 + len(files) // 16))
    console = Console(stderr=True)
    columns = (TextColumn("preparing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    notes = {}
    with Progress(*columns, console=console, disable=not (progress and console.is_terminal)) as bar:
        task = bar.add_task("files", total=len(files))
        try:
            for shard in shards:
                notes[shard.name] = write_shard(shard, encoded, out, lambda: bar.advance(task))
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
            reason = notes[shard.name]["rejected"].get(str(entry.path))
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
        kept = [e.item for e in shard.entries if str(e.path) not in notes[shard.name]["rejected"]]
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
