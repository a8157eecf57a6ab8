"""The demo's headline figures over several seeds: mean, least and most.

    python -m benchmarks.seeds --data data/digits --out runs/seeds [--seeds 3] [--json FILE]

Each seed trains and evaluates through the verbs, in a process of its own; a run
that is already there is resumed or taken as it is.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines.cli import run
from vqmm.errors import UserError

FIGURES = (
    "retrieval.audio_to_image.code_distance.map",
    "retrieval.image_to_audio.code_distance.map",
    "retrieval.audio_to_image.continuous.map",
    "retrieval.image_to_audio.continuous.map",
    "retrieval.audio_to_image.exact.map",
    "retrieval.image_to_audio.exact.map",
    "codebook.pair_agreement",
    "codebook.ranges.shared.usage",
    "codebook.ranges.image.usage",
    "codebook.ranges.audio.usage",
    "codebook.exclusive",
    "reconstruction.image.psnr",
    "reconstruction.audio.log_mel_l1",
    "cost.bytes_per_item",
    "cost.train_seconds",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="configs/digits.yaml")
    parser.add_argument("--data", required=True, type=Path, help="prepared digits")
    parser.add_argument("--out", required=True, type=Path, help="folder for the runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, help="also write the table to this file")


def main(args: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from vqmm.atomic import write_atomic

    runs = [args.out / f"seed{seed}" for seed in range(args.seeds)]
    for seed, folder in enumerate(runs):
        if not (folder / "evaluation.json").exists():
            sets = [word for pair in (*args.set, f"seed={seed}") for word in ("--set", pair)]
            _verb("train", "--config", args.config, "--data", args.data, "--run", folder, *sets)
            _verb("evaluate", "--run", folder, "--data", args.data)
    trees = [json.loads((folder / "evaluation.json").read_text()) for folder in runs]
    rows: list[dict[str, Any]] = []
    for name in FIGURES:
        values = [_figure(tree, name) for tree in trees]
        mean = sum(values) / len(values)
        rows.append({"what": name, "mean": mean, "min": min(values), "max": max(values), "values": values})
    page = Table(title=f"{args.seeds} seeds, test split")
    for heading in ("figure", "mean", "least", "most"):
        page.add_column(heading)
    for row in rows:
        page.add_row(row["what"], *(f"{row[k]:.4g}" for k in ("mean", "min", "max")))
    Console().print(page)
    if args.json:
        write_atomic(args.json, json.dumps({"machine": platform.platform(), "rows": rows}, indent=2))


def _verb(verb: str, *words: Any) -> None:
    status = subprocess.run([sys.executable, "-m", f"pipelines.{verb}", *map(str, words)]).returncode
    if status:
        raise UserError(f"pipelines.{verb} stopped with status {status}; its own message is above")


def _figure(tree: Any, name: str) -> float:
    for part in name.split("."):
        tree = tree[part]
    return float(tree["value"] if isinstance(tree, dict) else tree)


if __name__ == "__main__":
    run(
        "seeds",
        "Train and judge the digits over several seeds.",
        "  python -m benchmarks.seeds --data data/digits --out runs/seeds",
        add_arguments,
        main,
        package="benchmarks",
    )
