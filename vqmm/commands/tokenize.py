"""Turns recordings and pictures into token files."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vqmm.commands.cli import add_runner, beam_options, local_path
from vqmm.errors import UserError

if TYPE_CHECKING:
    from vqmm.data.file_records import FileReport
    from vqmm.data.records import Dataset
    from vqmm.data.shards import Modality
    from vqmm.tokens import TokenFile

DESCRIPTION = "Writes the codes of recordings and pictures as .npz token files."
EXAMPLES = """\
  vqmm tokenize --run runs/demo --data data/digits --split train test --out out/tokens
  vqmm tokenize --run runs/demo --audio one.wav two.wav --out out/spoken.npz
  vqmm tokenize --run runs/demo --image scans/*.png --out out/scans
  vqmm tokenize --run runs/demo --data data/digits --split train --out out/tokens --runner beam

Prepared data gives one file for each modality and split, as out/tokens/audio-test.npz. Files of yours go into
one token file where --out ends in .npz, else each into one of its own name in the folder --out."""


class _Source(NamedTuple):
    path: Path
    modality: Modality
    records: Any  # Records; for Beam the name of a split
    reports: Sequence[FileReport] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="run folder that train left")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", metavar="DATA", help="folder that prepare left")
    what.add_argument("--audio", type=Path, nargs="+", action="extend", metavar="FILE", help="recordings")
    what.add_argument("--image", type=Path, nargs="+", action="extend", metavar="FILE", help="pictures")
    parser.add_argument(
        "--split",
        nargs="+",
        action="extend",
        metavar="SPLIT",
        help="of --data: train, validation, test (default: test)",
    )
    parser.add_argument("--out", type=local_path, required=True, metavar="FILE|DIR", help="what to write")
    add_runner(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> None:
    """Encodes, writes, and says what is where."""
    options = beam_options(args)
    if options is not None and args.data is None:
        raise UserError("--runner beam goes with --data; a few files are encoded sooner here")
    if args.split and args.data is None:
        raise UserError("--split goes with --data; files of yours have no splits")
    single = args.data is None and args.out.suffix == ".npz"
    if args.data is not None and args.out.suffix == ".npz":
        raise UserError(f"--out {args.out}: --data gives several token files; name a folder")
    if not single and args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out {args.out} is a file; give a folder, or a name ending in .npz")
    paths = [] if single or args.data is not None else [_own_name(args.out, p) for p in _files(args)]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise UserError(f"two of the files would become {twice}; name one --out ending in .npz for all")
    from vqmm.training.run_folder import open_run

    opened = open_run(args.run, coded=True)
    # Loaded late, so that a wrong command line is told at once.
    from vqmm.beam_tokens import tokens_by_beam
    from vqmm.data.records import Dataset
    from vqmm.data.used_part import count_longer, longer_than_window
    from vqmm.encoding import encode_records, tokens_of
    from vqmm.tokens import save_tokens

    dataset = None if args.data is None else Dataset.open(args.data)
    names = () if dataset is None else dataset.labels
    written: list[dict[str, Any]] = []
    notes: list[str] = []
    audio = opened.config.data.audio
    with contextlib.ExitStack() as parts:  # of Beam: kept until all is written
        for path, modality, records, reports in _sources(args, opened.config, single, dataset):
            if dataset is not None and isinstance(records, str):
                work = tokens_by_beam(opened, dataset, records, modality, args.out, options or [])
                tokens = parts.enter_context(work)
            else:
                encoded = encode_records(opened.model, records, opened.config, modality)
                tokens = tokens_of(opened.model, opened.config, encoded, records.lengths, names)
            save_tokens(path, tokens)
            written.append({"path": str(path), **_facts(tokens)})
            if reports:
                written[-1]["files"] = [{"path": report.path, **report.facts()} for report in reports]
                notes += [line for report in reports for line in report.lines()]
            elif modality == "audio":
                lengths = tokens.sizes[:, 0]
                written[-1]["longer_than_window"] = count_longer(lengths, audio)
                if longer := longer_than_window(lengths, audio):
                    notes.append(f"note: {path}: {longer}")
    if args.json:
        print(json.dumps({"files": written}))
        return
    for note in notes:
        print(note)
    for line in written:
        print(
            f"{line['path']}: {line['items']} x {line['shared']} shared and {line['private']} private codes "
            f"({line['modality']}, {line['bytes_per_item']} bytes an item), codebook {line['fingerprint']}"
        )


def _sources(
    args: argparse.Namespace, config: Any, single: bool, dataset: Dataset | None
) -> Iterator[_Source]:
    """Returns what to write, from which records; for Beam from the split that it reads them from."""
    from vqmm.data.file_records import read_files

    if dataset is not None:
        dataset.check(config)
        for split in args.split or ["test"]:
            if args.runner == "beam":
                yield from _shards(dataset, split, args.out)
                continue
            held = dataset.split(split)
            if not len(held.recordings) and not len(held.pictures):
                raise UserError(f"split {split!r} of {args.data} is empty; choose another")
            if len(held.recordings):
                yield _Source(args.out / f"audio-{split}.npz", "audio", held.recordings)
            if len(held.pictures):
                yield _Source(args.out / f"image-{split}.npz", "image", held.pictures)
        return
    modality: Modality = "audio" if args.audio else "image"
    if single:
        yield _Source(args.out, modality, *read_files(_files(args), modality, config.data))
        return
    for path in _files(args):
        yield _Source(_own_name(args.out, path), modality, *read_files([path], modality, config.data))


def _shards(dataset: Dataset, split: str, out: Path) -> Iterator[_Source]:
    from vqmm.encoding import KINDS

    counts = dataset.counts.get(split)
    if counts is None:
        raise UserError(f"unknown split {split!r}; it is one of {', '.join(dataset.counts)}")
    found = [modality for modality, kind in KINDS.items() if counts[kind]]
    if not found:
        raise UserError(f"split {split!r} of {dataset.folder} is empty; choose another")
    for modality in found:
        yield _Source(out / f"{modality}-{split}.npz", modality, split)


def _files(args: argparse.Namespace) -> list[Path]:
    return args.audio or args.image


def _own_name(folder: Path, path: Path) -> Path:
    return folder / f"{path.stem}.npz"


def _facts(tokens: TokenFile) -> dict[str, Any]:
    private = tokens.private
    size = tokens.shared.nbytes + (0 if private is None else private.nbytes)
    return {
        "modality": tokens.modality,
        "items": len(tokens),
        "shared": tokens.shared.shape[1],
        "private": 0 if private is None else private.shape[1],
        "bytes_per_item": size // len(tokens),
        "fingerprint": tokens.fingerprint,
    }
