"""What the input pipeline gives a second, beside loops over the files; and how long training waits for it.

    make bench-input              # with PyTorch in an environment of its own
    python -m benchmarks.input --data data/digits [--peers .venv-peers/bin/python] [--quick] [--json FILE]

A step makes one batch of pairs: recordings as log-mel spectrograms of the model's window, pictures in
the model's frame. Ours is `vqmm.data.batches.training_batches` on prepared shards, not augmented, and
`LogMel`. The loops start from the files every time, as code without a preparation does: decode,
resample, trim, cut, mel by librosa, and decode and resize by Pillow; and a PyTorch DataLoader that does
the same with soundfile, soxr and `torch.stft`. What `prepare` spends on a file, once, is a row of its
own. All sides take turns on one thread; rates are items a second of CPU time, which is a second of one core.

The second table trains as `vqmm train` does, with augmentation, and times `next(iterator)`.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.turns import ROOT, Worker, in_turns
from vqmm.commands.cli import run
from vqmm.errors import UserError

ITEMS = 512  # files of each modality that the loops go round
WAITING = {"digits": "digits.yaml", "tuxpaint": "tuxpaint.yaml"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, required=True, help="digits that prepare left, with their source"
    )
    parser.add_argument("--peers", type=Path, help="a Python that has PyTorch; left out: no DataLoader")
    parser.add_argument("--rounds", type=int, default=7, help="turns that each side has")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn")
    parser.add_argument("--threads", type=int, default=2, help="of the training whose waiting is timed")
    parser.add_argument(
        "--parts", nargs="+", choices=("rate", "waiting"), default=["rate", "waiting"], help="what to measure"
    )
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--json", type=Path, help="also write the tables to this file")


def main(args: argparse.Namespace) -> None:
    from vqmm.atomic import write_atomic

    if args.quick:
        args.rounds, args.seconds = min(args.rounds, 3), min(args.seconds, 1.0)
    tree: dict[str, Any] = {"machine": platform.platform(), "versions": {}, "rows": []}
    if "rate" in args.parts:
        tree["rows"] += _rates(args, tree["versions"])
    if "waiting" in args.parts:
        tree["rows"] += [_waiting(args, name) for name in WAITING]
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(args.json, json.dumps(tree, indent=2))


def source_files(data: Path, limit: int) -> dict[str, list[str]]:
    """The first files of the training split that a prepared folder was made from, by modality.

    Raises:
        UserError: they are not there.
    """
    manifest = data / "source" / "manifest.csv"
    if not manifest.is_file():
        raise UserError(f"{manifest} is missing; vqmm prepare --source digits --out {data}")
    found: dict[str, list[str]] = {"audio": [], "image": []}
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, paths in found.items():
                if row["split"] == "train" and row[name] and len(paths) < limit:
                    paths.append(str((manifest.parent / row[name]).resolve()))
    return found


def _rates(args: argparse.Namespace, versions: dict[str, str]) -> list[dict[str, Any]]:
    from vqmm.config import load_config

    config = load_config(ROOT / "configs" / WAITING["digits"])
    task = {
        "config": config.model_dump(mode="json"),
        "threads": 1,
        "data": str(args.data.resolve()),
        "files": source_files(args.data, ITEMS),
    }
    with contextlib.ExitStack() as stack:

        def worker(python: Path | str, module: str, **more: Any) -> Worker:
            return stack.enter_context(Worker(python, f"benchmarks.{module}", {**task, **more}))

        sides = {"librosa and Pillow": worker(sys.executable, "input_worker", role="loop")}
        if args.peers:
            sides["DataLoader"] = worker(args.peers, "input_peer_worker")
        sides["ours, prepared"] = worker(sys.executable, "input_worker", role="ours")
        sides["ours, augmented"] = worker(sys.executable, "input_worker", role="augmented")
        sides["prepare, once a file"] = worker(sys.executable, "input_worker", role="prepare")
        in_turns(list(sides.values()), args.rounds, args.seconds)
        told = {name: _told(side, config.train.batch_size) for name, side in sides.items()}
    for found in told.values():
        versions |= found.pop("versions", {})
    loop = told["librosa and Pillow"]
    for found in told.values():
        if "failed" not in found and "failed" not in loop:
            found["ratio_to_loop"] = found["pairs_a_second"] / loop["pairs_a_second"]
    _show_rates(told)
    return [
        {"what": f"input by {name}", "size": {"batch": config.train.batch_size}, **f}
        for name, f in told.items()
    ]


def _told(worker: Worker, batch: int) -> dict[str, Any]:
    """Pairs a second of CPU time: the median over turns, and the quartiles."""
    if worker.failed:
        return {"failed": worker.failed}
    rates = [1000.0 * batch / turn["cpu_milliseconds"] for turn in worker.turns]
    low, middle, high = np.quantile(rates, (0.25, 0.5, 0.75)).tolist()
    return {**worker.ready, "pairs_a_second": middle, "pairs_quartiles": [low, high]}


def _waiting(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """Trains by the config and says which share of the time the loop waited for its next batch."""
    from vqmm.config import load_config

    config = load_config(ROOT / "configs" / WAITING[name], ("schedule.quantize_from=0",))
    with tempfile.TemporaryDirectory() as scratch:
        task = {
            "role": "waiting",
            "config": config.model_dump(mode="json"),
            "threads": args.threads,
            "data": str(args.data.resolve()) if name == "digits" else "",
            "scratch": scratch,
        }
        with Worker(sys.executable, "benchmarks.input_worker", task) as worker:
            in_turns([worker], args.rounds, args.seconds)
            row: dict[str, Any] = {"what": f"waiting of {name}", "size": {"batch": config.train.batch_size}}
            if worker.failed:
                print(f"waiting of {name}: {worker.failed}")
                return row | {"failed": worker.failed}
            worker.turn(-1.0)
            row |= {"share": worker.turns[-1]["share"], "steps": worker.turns[-1]["steps"]}
    print(f"{name}: {row['share']:.2%} of {row['steps']} steps' time is spent waiting for data")
    return row


def _show_rates(told: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    page = Table(title="pairs (a recording and a picture) a second of one core")
    for heading in ("side", "pairs/s", "quartiles", "ratio to the loop"):
        page.add_column(heading)
    for side, found in told.items():
        if "failed" in found:
            page.add_row(side, found["failed"])
            continue
        low, high = found["pairs_quartiles"]
        ratio = f"{found['ratio_to_loop']:.1f}" if "ratio_to_loop" in found else ""
        page.add_row(side, f"{found['pairs_a_second']:,.0f}", f"{low:,.0f}-{high:,.0f}", ratio)
    Console(width=110).print(page)


if __name__ == "__main__":
    run(
        "input",
        "Time the input pipeline beside loops over files, and what training waits for it.",
        "  python -m benchmarks.input --data data/digits --quick --peers .venv-peers/bin/python",
        add_arguments,
        main,
        program="python -m benchmarks.input",
    )
