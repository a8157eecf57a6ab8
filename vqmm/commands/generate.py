"""Draws pictures and sound from a prior: of nothing, of the other modality, or around what is kept."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqmm.commands.cli import local_path
from vqmm.data.shards import OTHER
from vqmm.errors import UserError
from vqmm.phase_progress import PhaseProgress
from vqmm.sampling_limits import check_limits

if TYPE_CHECKING:
    from vqmm.generation import Result, Studio

DESCRIPTION = "Draws pictures and sound from a prior over codes."
EXAMPLES = """\
  vqmm generate --run runs/digits-prior --unconditional 24 --out out/pairs
  vqmm generate --run runs/digits-prior --unconditional 8 --label 7 --guidance 1 --out out/7
  vqmm generate --run runs/digits-prior --from-audio seven.wav --to image --n 8 --out out/seen
  vqmm generate --run runs/digits-prior --from-image scan.png --to audio --out out/said
  vqmm generate --run runs/digits-prior --from-image scan.png --vocoder runs/vocoder --out out
  vqmm generate --run runs/digits-prior --from-image scan.png --inpaint 0.5:1 --out out/lower
  vqmm generate --run runs/digits-prior --from-tokens scans.npz --to audio --out out/all

--inpaint takes the part that is drawn anew: rows from:to, and after a comma columns, as shares of the item.
Rows of a picture run down, those of a recording along time. Settings left out are the prior's own; with
its guidance, what is drawn from nothing is guided by the shared codes that were drawn first."""
MARK = "generated.json"
COLUMNS = 10  # of the sheets
LAST_SEED = 2**32 - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="run folder of a prior")
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="what is written, whole")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--unconditional", type=int, metavar="N", help="N pairs of picture and sound")
    what.add_argument("--from-audio", type=Path, metavar="FILE", help="a recording")
    what.add_argument("--from-image", type=Path, metavar="FILE", help="a picture")
    what.add_argument("--from-tokens", type=Path, metavar="FILE", help="what tokenize wrote")
    parser.add_argument("--to", choices=("audio", "image"), help="what is made (default: the other modality)")
    parser.add_argument("--inpaint", metavar="PART", help="draw this part of the source anew")
    parser.add_argument("--keep-shared", action="store_true", help="of --inpaint: keep the shared codes")
    parser.add_argument("--label", metavar="NAME", help="of --unconditional: items of this label alone")
    parser.add_argument("--n", type=int, help="items for each source (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="of parallel decoding")
    parser.add_argument(
        "--temperature",
        type=float,
        help="of the codes' distributions, 0 to 100; 0: greedy, nothing is random",
    )
    parser.add_argument(
        "--guidance", type=float, help="weight of classifier-free guidance, 0 to 100; 0: none"
    )
    parser.add_argument(
        "--top-k", type=int, help="likeliest codes that may be drawn (at most all that a token has); 0: all"
    )
    parser.add_argument("--top-p", type=float, help="their least total probability; 1: all")
    parser.add_argument(
        "--retries", type=int, help="for items in which their shared codes are not found again"
    )
    parser.add_argument("--tokenizer", type=Path, metavar="RUN", help="where the tokenizer's run lies now")
    parser.add_argument("--vocoder", type=Path, metavar="RUN", help="makes sound (default: Griffin-Lim)")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def main(args: argparse.Namespace) -> None:
    """Draws, writes, and says where."""
    _check(args)
    from vqmm.training.prior_run import open_prior

    opened = open_prior(args.run, args.tokenizer)
    # Loaded late, so that a wrong command line is told at once.
    from vqmm.atomic import replacing_folder
    from vqmm.generation import Studio, settings_of
    from vqmm.training.vocoder_run import open_voice

    voice = open_voice(args.vocoder, opened.tokenizer.config)
    spec = opened.spec
    if args.steps is not None and opened.run.model.causal:
        raise UserError(
            f"--steps {args.steps} is of parallel decoding; this prior is autoregressive and draws code "
            "after code: leave it out"
        )
    wanted = {
        name: getattr(args, name)
        for name in ("steps", "temperature", "guidance", "top_k", "top_p", "retries")
    }
    settings = settings_of(spec.sampling, **wanted)
    studio = Studio(opened, settings, voice)
    with replacing_folder(args.out, MARK) as folder:
        with PhaseProgress("sampling", "percent", 100) as shown:
            result = _draw(args, studio, shown.reach_fraction)
        facts = {"prior": str(args.run), "step": opened.run.step, "kind": spec.kind, "seed": args.seed}
        facts |= {"vocoder": str(args.vocoder) if args.vocoder else "Griffin-Lim", **settings._asdict()}
        files = _write(folder, args, studio, result, facts)
    longer = None
    if result.source is not None and result.source.modality == "audio":
        from vqmm.data.used_part import longer_than_window

        longer = longer_than_window(result.source.sizes[:, 0], opened.tokenizer.config.data.audio)
    if longer:
        print(f"note: {longer}", file=sys.stderr)
    if args.json:
        print(json.dumps({"out": str(args.out), "files": files, **facts}))
    else:
        print(f"{len(files)} files and {args.out / 'index.html'}")


def _check(args: argparse.Namespace) -> None:
    """What can be told before anything is loaded."""
    least = {"unconditional": 1, "n": 1, "steps": 1, "seed": 0}
    least |= {"top_k": 0, "retries": 0}
    for name, low in least.items():
        value = getattr(args, name)
        if value is not None and not low <= value < math.inf:
            raise UserError(f"--{name.replace('_', '-')} {value}: give a finite number from {low} on")
    if args.seed > LAST_SEED:
        raise UserError(f"--seed {args.seed}: give a number from 0 to {LAST_SEED}")
    check_limits(vars(args), "--")
    alone = args.unconditional is not None
    for name in ("to", "inpaint", "n"):
        value = getattr(args, name)
        if alone and value is not None:
            raise UserError(
                f"--{name} {value} goes with a source; --unconditional {args.unconditional} draws so many "
                f"pairs, both modalities whole: leave --{name} out"
            )
    if args.label is not None and not alone:
        raise UserError(
            f"--label {args.label} goes with --unconditional; a source says by itself what it is of: "
            "leave --label out"
        )
    free = (alone and args.label is None) or (args.inpaint is not None and not args.keep_shared)
    if args.guidance and free:
        way = "--keep-shared" if args.inpaint is not None else "--label, --from-audio or --from-image"
        raise UserError(
            f"--guidance {args.guidance:g} has no condition to guide by; leave it out, or give {way}"
        )
    if args.keep_shared and args.inpaint is None:
        raise UserError("--keep-shared goes with --inpaint PART; give that too, or leave --keep-shared out")
    given = "audio" if args.from_audio else "image" if args.from_image else None
    if given is not None and args.inpaint is None and args.to == given:
        raise UserError(
            f"--from-{given} --to {given}: the source is {given} already; give --to {OTHER[given]}, "
            "or --inpaint to draw a part of it anew"
        )
    if given is not None:
        _check_part(args, given)
    path = args.from_audio or args.from_image
    if path is not None and not path.is_file():
        raise UserError(f"{path}: no such file; give one that is there")


def _check_part(args: argparse.Namespace, given: str) -> None:
    if args.inpaint is not None and args.to not in (None, given):
        raise UserError(
            f"--to {args.to} with --inpaint {args.inpaint}: that draws a part of the {given} anew; "
            f"leave --to {args.to} out"
        )


def _draw(args: argparse.Namespace, studio: Studio, progress: Callable[[float], None]) -> Result:
    if args.unconditional is not None:
        label = None if args.label is None else _label(args.label, studio)
        return studio.unconditional(args.unconditional, args.seed, label, progress)
    count = 4 if args.n is None else args.n
    if args.from_tokens is not None:
        from vqmm.tokens import load_tokens

        source = load_tokens(args.from_tokens, studio.generator.prior.fingerprint)
    elif args.from_audio is not None:
        source = studio.encoded(args.from_audio, "audio")
    else:
        source = studio.encoded(args.from_image, "image")
    if args.inpaint is not None:
        _check_part(args, source.modality)
        return studio.inpaint(source, args.inpaint, count, args.seed, args.keep_shared, progress)
    return studio.across(source, args.to or OTHER[source.modality], count, args.seed, progress)


def _label(name: str, studio: Studio) -> int:
    known = list(studio.generator.prior.labels)
    if not known:
        raise UserError(f"--label {name}: this prior was trained without labels; leave it out")
    if name not in known:
        raise UserError(f"--label {name!r}: no such label; this prior knows {', '.join(known)}")
    return known.index(name)


def _write(
    folder: Path, args: argparse.Namespace, studio: Studio, result: Result, facts: dict[str, Any]
) -> list[str]:
    from vqmm.atomic import write_atomic
    from vqmm.rebuild import SUFFIXES, write_media
    from vqmm.report.generated import groups_of, looks, render_generated, write_sheet
    from vqmm.retrieval.hit_files import safe_names
    from vqmm.tokens import save_tokens

    files = []
    for name, media in result.media.items():
        for id, one in zip(safe_names(result.tokens[name].ids.tolist()), media, strict=True):
            path = f"{name}/{id}{SUFFIXES[name]}"
            write_media(folder / path, one, studio.config)
            files.append(path)
        save_tokens(folder / f"{name}.npz", result.tokens[name])
        write_sheet(folder / f"{name}.png", looks(studio.model, media), COLUMNS)
        files += [f"{name}.npz", f"{name}.png"]
    sources = studio.rebuilt(result.source) if result.source is not None else []
    groups = groups_of(studio.model, studio.config, result.tokens, result.media, sources)
    write_atomic(folder / "index.html", render_generated(str(args.out.name), facts, groups))
    write_atomic(folder / MARK, json.dumps({"files": files, **facts}, indent=1) + "\n")
    return files
