"""Judges a run on prepared data: evaluation.json and a report to look at."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vqmm.commands.cli import local_path
from vqmm.config import Config
from vqmm.errors import UserError

DESCRIPTION = "Judges a run: alignment, codebook, reconstruction and cost, as JSON and as a page."
EXAMPLES = """\
  vqmm evaluate --run runs/demo --data data/digits
  vqmm evaluate --run runs/demo --data data/my-recordings --split test --out judged/mine
  vqmm evaluate --run runs/demo --data data/digits --json
  vqmm evaluate --run runs/digits-prior --data data/digits
  vqmm evaluate --run runs/demo --data data/digits --image-extractor mine.keras --out mine

The data need not be what the run was trained on; its sample rate and picture size must be the run's.

An extractor is a Keras classifier, Sequential or functional, of what the model sees of that modality:
pictures f32[B, H, W, C] in 0..1, or the log10 mel spectrograms f32[B, frames, mels, 1] of model.log_mel.
Its last layer is a softmax; what that reads are the features for Fréchet and kernel distance, precision and
recall, and its probabilities give the classifier score. All else stays with the network that is taught on
the data."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="run folder that train left")
    parser.add_argument("--data", required=True, metavar="DATA", help="folder that prepare left")
    parser.add_argument("--tokenizer", type=Path, metavar="RUN", help="of a prior: where it lies now")
    parser.add_argument("--split", default="test", help="train, validation or test (default: %(default)s)")
    parser.add_argument(
        "--out", type=local_path, metavar="DIR", help="where the files go (default: the run folder)"
    )
    for modality, kind in (("image", "pictures"), ("audio", "recordings")):
        parser.add_argument(
            f"--{modality}-extractor",
            type=Path,
            metavar="PATH.keras",
            help=f"classifier in whose features sets of {kind} are compared (default: one taught on data)",
        )
    parser.add_argument("--json", action="store_true", help="print evaluation.json")


def main(args: argparse.Namespace) -> None:
    """Judges, writes, and says the figures that matter."""
    from vqmm.data.records import Dataset

    dataset = Dataset.open(args.data)
    out = args.out or args.run
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; give a folder")
    from vqmm.data.used_part import longer_than_window
    from vqmm.training.run_folder import open_run

    opened = open_run(args.run)
    if opened.config.vocoder is not None:
        raise UserError(
            f"{args.run} holds a vocoder; python -m benchmarks.vocoder --vocoder {args.run} judges it"
        )
    _same_each_time(opened.config)
    named = {
        modality: path
        for modality, path in (("audio", args.audio_extractor), ("image", args.image_extractor))
        if path is not None
    }
    if opened.config.prior is not None:
        from vqmm.report.write_prior import write_prior_evaluation
        from vqmm.training.prior_run import with_tokenizer

        both = with_tokenizer(opened, args.tokenizer)
        figures = write_prior_evaluation(both, dataset, args.split, out, named)
    elif args.tokenizer is not None:
        raise UserError(f"--tokenizer goes with the run of a prior; {args.run} holds none")
    else:
        from vqmm.report import write_evaluation

        figures = write_evaluation(opened, dataset, args.split, out, named)
    _warn_of_trained_items(figures["data"], args.run)
    longer = longer_than_window(dataset.split(args.split).recordings.lengths, opened.config.data.audio)
    if longer:
        print(f"evaluate: note: {longer}", file=sys.stderr)
    if args.json:
        print(json.dumps(figures))
    elif opened.config.prior is not None:
        _show_drawn(figures["generation"], out)
    else:
        _show(figures, out)


def _warn_of_trained_items(data: dict[str, Any], run: Path) -> None:
    """Says on the standard error stream that items are not new to the run, or that this is not known."""
    counts = {kind: count for kind, count in data["trained_on"].items() if data[kind]}
    shared = [f"{count} of {data[kind]} {kind}" for kind, count in counts.items() if count]
    unknown = [kind for kind, count in counts.items() if count is None]
    if shared:
        print(
            f"evaluate: warning: {run} was trained on {' and '.join(shared)} of split {data['split']!r}, by "
            "their content: the figures do not show how it does on new items. Evaluate a split without them",
            file=sys.stderr,
        )
    if unknown:
        print(
            f"evaluate: note: whether {run} was trained on {' or '.join(unknown)} of this data is not known: "
            "it recorded no items of its own data, or that was prepared to another spec",
            file=sys.stderr,
        )


def _same_each_time(config: Config) -> None:
    """A GPU adds in any order unless it is asked not to, and networks taught on it would differ by run."""
    import tensorflow as tf

    from vqmm.training.loop import deterministic_ops

    if tf.config.list_physical_devices("GPU"):
        deterministic_ops(config.train)


def _show(figures: dict[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from vqmm.report.figures import interval

    if "retrieval" in figures:
        scorer = "code_distance" if "codebook" in figures else "continuous"
        table = Table("", f"mAP, {scorer.replace('_', ' ')}", "95 %", "chance")
        for direction, section in figures["retrieval"].items():
            found = section[scorer]["map"]
            told = f"{found['value']:.3f}", interval(found), f"{found['chance']:.3f}"
            table.add_row(direction.replace("_", " "), *told)
    else:  # one modality alone
        table = Table("", "", "95 %")
        measures = {"image": ("pictures rebuilt, PSNR in dB", "psnr"), "audio": ("log-mel L1", "log_mel_l1")}
        for modality, section in figures["reconstruction"].items():
            name, key = measures[modality]
            table.add_row(name, f"{section[key]['value']:.3f}", interval(section[key]))
    console = Console()
    console.print(table)
    for name in ("evaluation.json", "report/index.html"):
        console.print(f"{out / name}", highlight=False, soft_wrap=True)


def _show_drawn(section: dict[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from vqmm.report.figures import interval

    table = Table("", "figure", "95 %", "beside it")
    accuracy = {name: f"judge right in {f['accuracy']:.3f}" for name, f in section["extractors"].items()}
    rows = [
        ("recording to picture, coherence", section.get("audio_to_image", {}).get("coherence"), "image"),
        ("picture to recording, coherence", section.get("image_to_audio", {}).get("coherence"), "audio"),
        ("drawn together, coherence", section["unconditional"].get("joint_coherence"), ""),
    ]
    beside = [(name, figure, accuracy.get(judge, "")) for name, figure, judge in rows if figure]
    for name, found in section["unconditional"].items():
        if name == "joint_coherence":
            continue
        rebuilt = found.get("reconstructed")
        note = f"rebuilt training items {rebuilt['frechet']['value']:.1f}" if rebuilt else ""
        beside.append((f"{name}, Fréchet distance", found["frechet"], note))
    for name, figure, note in beside:
        table.add_row(name, f"{figure['value']:.3f}", interval(figure), note)
    console = Console()
    console.print(table)
    page = out / "report" / "index.html"
    console.print(f"{out / 'evaluation.json'}\n{page}", highlight=False, soft_wrap=True)
