"""Turns a manifest, or a source that is fetched or made here, into training data."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vqmm.commands.cli import add_config, add_overrides, add_runner, beam_options, local_path
from vqmm.errors import UserError

if TYPE_CHECKING:
    from vqmm.data.prepare import Prepared

SOURCES = ("digits", "glyphs", "tuxpaint", "tfds")
DESCRIPTION = "Decodes recordings and pictures into shards, dataset.json, rejected.csv and remarks.csv."
EXAMPLES = """\
  vqmm prepare --source digits --config digits --out data/digits
  vqmm prepare --source tuxpaint --config tuxpaint --out data/tuxpaint
  vqmm prepare --manifest pairs/manifest.csv --config digits --out data/pairs
  vqmm prepare --manifest pairs/manifest.csv --config digits --out data/pairs \
      --runner beam --beam runner=FlinkRunner flink_master=host:8081

The same command again goes on where it was interrupted, and makes those shards again whose files changed or
were mended since. Rows without a split get one by a hash of their item, so that others do not move when rows
come or go; what has equal content stays together.

A manifest is a CSV, JSONL or Parquet table with the columns audio and image (paths relative to it, either
may be empty) and, where you have them, label, split (train, validation, test), id, caption and item."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", choices=SOURCES, help="data that is made or fetched here")
    what.add_argument("--manifest", type=local_path, metavar="FILE", help="a table of your own pairs")
    add_config(parser)
    add_overrides(parser)
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--archive",
        "--source-folder",
        type=Path,
        metavar="PATH",
        help="tuxpaint: a package or archive that you have, instead of fetching it; or a folder, which is "
        "read where it lies",
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="about so many items of the source, for a trial"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one for each core that is ours to use)"
    )
    parser.add_argument(
        "--force", action="store_true", help="make all shards anew, whatever the folder holds"
    )
    add_runner(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> None:
    """Prepares, then says what came of it."""
    _check(args)
    from vqmm.config import load_config

    config = load_config(args.config, args.set)
    from vqmm.data.prepare import prepare
    from vqmm.data.resume import claimed

    # One lock over both: the files of a source are read while the shards are written.
    held = claimed(args.out) if args.source else contextlib.nullcontext()
    with held as work:
        source = _source(args, config.seed)
        done = prepare(
            source.manifest,
            config,
            args.out,
            name=args.source,
            workers=args.workers,
            beam=beam_options(args),
            work=work,
            force=args.force,
            files=source.files,
        )
    for note in _notes(done, args.out):
        print(f"prepare: {note}", file=sys.stderr)
    if args.json:
        print(json.dumps(_summary(done, args.out)))
    else:
        _show(done, args.out)


def _check(args: argparse.Namespace) -> None:
    if args.archive and args.source != "tuxpaint":
        raise UserError(f"--archive {args.archive}: only --source tuxpaint takes one")
    if args.limit is not None and (args.manifest or args.limit < 1):
        raise UserError(f"--limit {args.limit}: a number from 1, and only with --source")
    beam_options(args)
    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers {args.workers}: at least 1")


class Source(NamedTuple):
    """A manifest, and the folder that its paths are relative to; None for the manifest's own."""

    manifest: Path
    files: Path | None = None


def _source(args: argparse.Namespace, seed: int) -> Source:
    """The user's manifest, or a source's, whose manifest and files are left in OUT/source."""
    if args.manifest is not None:
        return Source(args.manifest)
    folder = args.out / "source"
    common: dict[str, Any] = {"workers": args.workers or 0, "limit": args.limit, "progress": True}
    if args.source == "digits":
        from vqmm.data.sources.digits import write_digits

        return Source(write_digits(folder, seed, **common))
    if args.source == "glyphs":
        from vqmm.data.sources.glyphs import write_glyphs

        return Source(write_glyphs(folder, seed, **common))
    if args.source == "tuxpaint":
        from vqmm.data.sources.stamps_archive import folder_of_stamps, manifest_base
        from vqmm.data.sources.tuxpaint import write_tuxpaint

        given = args.archive is not None and args.archive.is_dir()  # read where it lies
        files = manifest_base(folder_of_stamps(args.archive)) if given else None
        return Source(write_tuxpaint(folder, seed, source=args.archive, **common), files)
    from vqmm.data.sources.tfds import write_tfds

    return Source(write_tfds(folder, seed, **common))


def _notes(done: Prepared, out: Path) -> Iterator[str]:
    """Lists what the user should know besides the counts, a line each."""
    changed, gone, known = done.changes
    if not known:
        yield (
            f"note: {out} was prepared by an earlier version, which did not record its files' content; it is "
            "left as it is, whether they changed or not. --force makes it anew"
        )
    if changed:
        yield (
            f"note: {len(changed)} files have other content than when {out} was prepared (first: "
            f"{changed[0]}); {done.made} shards were made again, and runs trained on the data before will "
            "not continue on it"
        )
    if gone:
        yield (
            f"note: {len(gone)} files that {out} was made from cannot be read any more (first: {gone[0]}); "
            "what was made from them is kept"
        )
    if done.divided:
        rows, splits = done.divided[0]
        yield (
            f"warning: {len(done.divided)} items stand in more than one split, as one item or as files of "
            f"equal content (first: rows {', '.join(map(str, rows[:5]))}{', …' * (len(rows) > 5)} in "
            f"{' and '.join(splits)}): figures of held-out splits will be too good. Give them one split, or "
            "leave the column split empty"
        )
    if done.empty_splits:
        yield (
            f"note: no item fell to {' and '.join(done.empty_splits)}: each goes there with probability 0.1, "
            "and there are few. Name splits in a column split, or try another --set seed=N"
        )


def _summary(done: Prepared, out: Path) -> dict[str, object]:
    return {
        "out": str(out),
        "counts": done.dataset.counts,
        "labels": len(done.dataset.labels),
        "rows": done.rows,
        "rejected": done.rejected,
        "reused_shards": done.reused,
        "made_shards": done.made,
        "changed_files": len(done.changes.changed),
        "gone_files": len(done.changes.gone),
        "in_two_splits": done.in_two_splits,
        "divided_items": len(done.divided),
        "empty_splits": done.empty_splits,
        "remarks": done.remarks,
        "checksum": done.dataset.checksum,
        "seconds": round(done.seconds, 2),
    }


def _show(done: Prepared, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from vqmm.data.remarks import FILE, WINDOW

    table = Table("split", "recordings", "pictures", "paired items")
    for split, count in done.dataset.counts.items():
        table.add_row(split, *(str(count[key]) for key in ("recordings", "pictures", "pairs_items")))
    console = Console()
    console.print(table)
    remarks = out / "remarks.csv"
    if longer := done.remarks[WINDOW]:
        audio = done.dataset.audio
        seconds = f"{audio.samples / audio.sample_rate:.3f} s"
        console.print(
            f"note: {longer} recordings are longer than the window of {seconds} (data.audio.samples): models "
            f"are given the loudest part (see {remarks})",
            soft_wrap=True,
            highlight=False,
        )
    if done.remarks[FILE]:
        text = f"note: {done.remarks[FILE]} files were read with a remark (see {remarks})"
        console.print(text, soft_wrap=True, highlight=False)
    rejected = f"{done.rejected} of {done.rows} rows rejected"
    where = f" (see {out / 'rejected.csv'})" if done.rejected else ""
    reused = f", {done.reused} finished shards reused" if done.reused else ""
    console.print(f"{out}: {rejected}{where}{reused}, {done.seconds:.1f} s", soft_wrap=True, highlight=False)
