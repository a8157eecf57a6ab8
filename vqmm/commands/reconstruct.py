"""Rebuilds recordings and pictures from their codes: file to codes to file."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqmm.commands.cli import local_path
from vqmm.errors import UserError

if TYPE_CHECKING:
    from vqmm.data.file_records import FileReport
    from vqmm.data.records import Records
    from vqmm.data.shards import Modality
    from vqmm.tokens import TokenFile
    from vqmm.training.run_folder import Run

DESCRIPTION = "Encodes to codes and decodes them again, into a WAV or a PNG."
EXAMPLES = """\
  vqmm reconstruct --run runs/demo --audio seven.wav --out out/seven.wav
  vqmm reconstruct --run runs/demo --audio seven.wav --vocoder runs/vocoder --out out/seven.wav
  vqmm reconstruct --run runs/demo --audio seven.wav --to image --out out/seven.png
  vqmm reconstruct --run runs/demo --image scan.png --shared-only --out out/gist.png
  vqmm reconstruct --run runs/demo --image scan.png --tokens out/scan.npz --out out/scan.png
  vqmm reconstruct --run runs/demo --from-tokens out/scan.npz --out out/scan.png
  vqmm reconstruct --run runs/demo --data data/digits --split test --limit 20 --out out/test

--to the other modality uses the shared codes alone, which is all that both know. Several items go into the
folder --out, by id."""
SUFFIXES = {"audio": ".wav", "image": ".png"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="run folder that train left")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--audio", type=Path, metavar="FILE", help="a recording")
    what.add_argument("--image", type=Path, metavar="FILE", help="a picture")
    what.add_argument("--from-tokens", type=Path, metavar="FILE", help="a token file instead")
    what.add_argument("--data", metavar="DATA", help="all of a split that prepare left")
    parser.add_argument("--split", default="test", help="of --data (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="first N of each modality of --data")
    parser.add_argument("--out", type=local_path, required=True, metavar="FILE|DIR", help="what to write")
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="also write the codes, a .npz")
    parser.add_argument("--to", choices=("audio", "image"), help="decode to this (default: what it was)")
    parser.add_argument("--shared-only", action="store_true", help="leave the private codes out")
    parser.add_argument("--vocoder", type=Path, metavar="RUN", help="makes sound (default: Griffin-Lim)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> None:
    """Rebuilds, writes, and says where."""
    given = args.audio or args.image
    if args.tokens is not None and given is None:
        raise UserError("--tokens writes the codes of one file; it goes with --audio or --image")
    if args.limit is not None and args.limit < 1:
        raise UserError(f"--limit {args.limit}: 1 is the least")
    if given is not None and args.out.is_dir():
        raise UserError(f"--out {args.out} is a folder; name the file to write")
    # Told before anything is loaded.
    suffix = SUFFIXES[to := args.to or ("audio" if args.audio else "image")]
    if given is not None and args.out.suffix.lower() != suffix:
        raise UserError(f"--out {args.out}: rebuilt {to} is written as {suffix}; name the file so")
    from vqmm.training.run_folder import open_run
    from vqmm.training.vocoder_run import open_voice

    opened = open_run(args.run, coded=True)
    voice = open_voice(args.vocoder, opened.config)
    from vqmm.data.used_part import longer_than_window
    from vqmm.rebuild import rebuild, write_media
    from vqmm.retrieval.hit_files import safe_names
    from vqmm.tokens import save_tokens

    written: list[dict[str, Any]] = []
    reports: list[FileReport] = []
    notes: list[str] = []
    for tokens in _tokens(args, opened, reports):
        if tokens.modality == "audio" and not reports:
            longer = longer_than_window(tokens.sizes[:, 0], opened.config.data.audio)
            notes += [f"note: {longer}"] if longer else []
        rebuilt = rebuild(opened.model, opened.config, tokens, args.to, args.shared_only, voice)
        suffix = SUFFIXES[args.to or tokens.modality]
        alone = given is not None or (len(rebuilt) == 1 and args.out.suffix.lower() == suffix)
        names = [f"{tokens.modality}/{name}{suffix}" for name in safe_names(tokens.ids.tolist())]
        paths = [args.out] if alone else [args.out / name for name in names]
        for path, id, media in zip(paths, tokens.ids, rebuilt, strict=True):
            write_media(path, media, opened.config)
            written.append({"id": str(id), "path": str(path)})
            if reports:
                written[-1] |= reports[0].facts()
        if args.tokens is not None:
            save_tokens(args.tokens, tokens)
    if args.json:
        print(json.dumps({"files": written}))
        return
    for note in [*notes, *(line for report in reports for line in report.lines())]:
        print(note, file=sys.stderr)
    if len(written) == 1:
        print(written[0]["path"])
    else:
        print(f"{len(written)} files in {args.out}")


def _tokens(args: argparse.Namespace, opened: Run, reports: list[FileReport]) -> Iterator[TokenFile]:
    """Codes to decode; adds to `reports` how a file was read."""
    from vqmm.data.file_records import read_files
    from vqmm.data.records import Dataset
    from vqmm.encoding import codebook_fingerprint, encode_records, tokens_of
    from vqmm.tokens import load_tokens

    model, config = opened.model, opened.config
    if args.from_tokens is not None:
        yield load_tokens(args.from_tokens, codebook_fingerprint(model))
        return
    sources: list[tuple[Modality, Records]] = []
    if args.data is not None:
        dataset = Dataset.open(args.data)
        dataset.check(config)
        held = dataset.split(args.split)
        recordings, pictures = (_first(records, args.limit) for records in held)
        sources = [("audio", recordings), ("image", pictures)]
        if not any(len(records) for _, records in sources):
            raise UserError(f"split {args.split!r} of {args.data} is empty; choose another")
    else:
        modality: Modality = "image" if args.audio is None else "audio"
        read = read_files([args.audio or args.image], modality, config.data)
        sources = [(modality, read.records)]
        reports += read.reports
    for modality, records in sources:
        if len(records):
            encoded = encode_records(model, records, config, modality)
            yield tokens_of(model, config, encoded, records.lengths)


def _first(records: Records, count: int | None) -> Records:
    columns = {field.name: getattr(records, field.name)[:count] for field in dataclasses.fields(records)}
    return dataclasses.replace(records, **columns)
