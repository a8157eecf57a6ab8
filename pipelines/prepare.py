"""Turns a manifest, or a source that is fetched or made here, into training data."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cli import add_runner, beam_options, local_path, run
from vqmm.errors import UserError

if TYPE_CHECKING:
    from vqmm.data.prepare import Prepared

SOURCES = ("digits", "glyphs", "tuxpaint", "tfds")
DESCRIPTION = "Decodes recordings and pictures into shards, dataset.json, rejected.csv and remarks.csv."
EXAMPLES = """\
  python -m pipelines.prepare --source digits --config configs/digits.yaml --out data/digits
  python -m pipelines.prepare --source tuxpaint --config configs/tuxpaint.yaml --out data/tuxpaint
  python -m pipelines.prepare --manifest pairs/manifest.csv --config configs/digits.yaml --out data/pairs
  python -m pipelines.prepare --manifest pairs/manifest.csv --config configs/digits.yaml --out data/pairs \
      --runner beam --beam runner=FlinkRunner flink_master=host:8081

A manifest is a CSV, JSONL or Parquet table with the columns audio and image (paths relative to it, either
may be empty) and, where you have them, label, split (train, validation, test), id, caption and item."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", choices=SOURCES, help="data that is made or fetched here")
    what.add_argument("--manifest", type=local_path, metavar="FILE", help="a table of your own pairs")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML config")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="override a config key")
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--archive",
        "--source-folder",
        type=Path,
        metavar="PATH",
        help="tuxpaint: a package, archive or folder that you have, instead of fetching it",
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="about so many items of the source, for a trial"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one for each core that is ours to use)"
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
        done = prepare(
            args.manifest or _write_source(args, config.seed),
            config,
            args.out,
            name=args.source,
            workers=args.workers,
            progress=not args.json,
            beam=beam_options(args),
            work=work,
        )
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


def _write_source(args: argparse.Namespace, seed: int) -> Path:
    """Leaves the source's files and its manifest in OUT/source."""
    folder, common = args.out / "source", {"workers": args.workers or 0, "limit": args.limit}
    progress = not args.json
    if args.source == "digits":
        from vqmm.data.sources.digits import write_digits

        return write_digits(folder, seed, progress=progress, **common)
    if args.source == "glyphs":
        from vqmm.data.sources.glyphs import write_glyphs

        return write_glyphs(folder, seed, progress=progress, **common)
    if args.source == "tuxpaint":
        from vqmm.data.sources.tuxpaint import write_tuxpaint

        return write_tuxpaint(folder, seed, progress=progress, source=args.archive, **common)
    from vqmm.data.sources.tfds import write_tfds

    return write_tfds(folder, seed, progress=progress, **common)


def _summary(done: Prepared, out: Path) -> dict[str, object]:
    return {
        "out": str(out),
        "counts": done.dataset.counts,
        "labels": len(done.dataset.labels),
        "rows": done.rows,
        "rejected": done.rejected,
        "reused_shards": done.reused,
        "in_two_splits": done.in_two_splits,
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
    if done.in_two_splits:
        console.print(f"note: {done.in_two_splits} files stand in more than one split: figures will flatter")
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


if __name__ == "__main__":
    run("prepare", DESCRIPTION, EXAMPLES, add_arguments, main)
