"""What a training step costs beside the same networks in PyTorch, and how its cost grows with the work.

    make bench-training              # all, with PyTorch in an environment of its own
    python -m benchmarks.training --quick --peers .venv-peers/bin/python [--json FILE] [--plot FILE]

A step is all that `vqmm train` does between two batches: forward, losses, gradients,
clipping, Adam, the codebook's averages; for a VQGAN the discriminators' as well. Batches are
random numbers that are there already. All sides stay alive and take turns on the same number
of threads; times are medians over turns, ratios medians over rounds of turns, with quartiles. A
ratio is to the fastest of the peers. CPU time, of all threads, is given as well: it hardly
minds what else the machine is doing, while the clock's time does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.turns import ROOT, Worker, in_turns
from vqmm.commands.cli import run

LARGE = (
    "data.image.height=128",
    "data.image.width=128",
    "data.image.channels=3",
    "model.filters=[24,48,96,96]",
    "model.log_mel.n_fft=512",  # sound of twice the frames and bands, so that as much is left of its grid
    "model.log_mel.hop_length=80",
    "model.log_mel.mels=64",
)
CONFIGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "vqvae": ("digits.yaml", ()),
    "vqgan": ("digits-vqgan.yaml", ()),
    "vqvae-128": ("digits.yaml", (*LARGE, "train.batch_size=16")),  # pictures of 128 x 128
}
EAGER = {"order": "one pass", "channels_last": False, "compiled": False}
PEERS = {
    "eager": EAGER,
    "eager, channels last": {**EAGER, "channels_last": True},
    "torch.compile": {**EAGER, "compiled": True},
    "eager, usual order": {**EAGER, "order": "usual"},  # of a VQGAN alone
}
AXES = {  # sizes, and the settings that they are put into
    "batch": ((16, 32, 64, 128, 256), "train.batch_size", 1),
    "codes": ((256, 1024, 4096, 16_384), "model.quantizer.shared", 1),
    "clip length": ((1, 2, 4), "data.audio.samples", 8192),
    "picture side": ((32, 64, 96), "data.image.height data.image.width", 1),
}
QUICK = {"batch": (16, 64, 256), "codes": (256, 4096)}
DIFFERENCE = 0.01  # of the numbers of parameters, above which networks are not the same
TIMES = ("milliseconds", "cpu_milliseconds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peers", type=Path, help="a Python that has PyTorch; left out: ours alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9, help="turns that each side has")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn")
    parser.add_argument("--models", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument(
        "--parts", nargs="+", choices=("step", "growth"), default=["step", "growth"], help="what to measure"
    )
    parser.add_argument("--quick", action="store_true", help="fewer turns and sizes")
    parser.add_argument("--json", type=Path, help="also write the tables to this file")
    parser.add_argument("--plot", type=Path, help="also plot the growth to this file, .png or .svg")


def main(args: argparse.Namespace) -> None:
    from vqmm.atomic import write_atomic

    if args.quick:
        args.rounds, args.seconds = min(args.rounds, 3), min(args.seconds, 1.0)
    tree: dict[str, Any] = {
        "machine": platform.platform(),
        "threads": args.threads,
        "versions": {},
        "rows": [],
    }
    for name in args.models if "step" in args.parts else ():
        tree["rows"].append(_step(args, name, tree["versions"]))
    for name in (n for n in args.models if "growth" in args.parts and not CONFIGS[n][1]):
        tree["rows"].append(_growth(args, name))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(args.json, json.dumps(tree, indent=2))


def compared(ours: Sequence[dict[str, float]], peer: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Ratios of a peer's turns to ours: the median over rounds, and the quartiles.

    Args:
        ours, peer: what `Worker.turns` holds, round by round.
    """
    found: dict[str, Any] = {}
    for measure in TIMES:
        ratios = [b[measure] / a[measure] for a, b in zip(ours, peer, strict=True)]
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75)).tolist()
        prefix = measure.removesuffix("milliseconds")
        found[f"{prefix}ratio_to_peer"], found[f"{prefix}ratio_quartiles"] = middle, [low, high]
    return found


def _step(args: argparse.Namespace, name: str, versions: dict[str, str]) -> dict[str, Any]:
    config = _config(name)
    task = {"config": config, "threads": args.threads, "count": True}
    kinds = {k: v for k, v in PEERS.items() if args.peers and (name == "vqgan" or v["order"] == "one pass")}
    with contextlib.ExitStack() as stack:

        def worker(python: Path | str, module: str, **more: Any) -> Worker:
            return stack.enter_context(Worker(python, f"benchmarks.{module}", {**task, **more}))

        ours = worker(sys.executable, "training_worker", role="ours")
        peers = {kind: worker(args.peers, "training_peer_worker", **more) for kind, more in kinds.items()}
        peaks = {
            role: worker(sys.executable, "training_worker", role=role) for role in ("product", "convolution")
        }
        in_turns([ours, *peers.values(), *peaks.values()], args.rounds, args.seconds)
    row: dict[str, Any] = {"what": f"step of {name}", "size": {"batch": config["train"]["batch_size"]}}
    row["ours"] = _told(ours)
    row["peers"] = {kind: _told(peer) for kind, peer in peers.items()}
    for side in (row["ours"], *row["peers"].values()):
        versions |= side.pop("versions", {})
    if ours.failed:
        print(f"step of {name}: {ours.failed}")
        return row
    for kind, peer in peers.items():
        found = row["peers"][kind]
        if "failed" in found:
            continue
        mine, theirs = row["ours"]["parameters"], found["parameters"]
        if abs(mine - theirs) > DIFFERENCE * mine:
            found["failed"] = f"{theirs} parameters, ours has {mine}: not the same networks"
            continue
        found |= compared(ours.turns, peer.turns)
        found["memory_ratio"] = found["peak_mebibytes"] / row["ours"]["peak_mebibytes"]
    able = {kind: found for kind, found in row["peers"].items() if "failed" not in found}
    if able:
        for prefix in ("", "cpu_"):
            least = min(able, key=lambda kind: able[kind][f"{prefix}milliseconds"])
            row[f"{prefix}peer"] = least
            row[f"{prefix}ratio_to_peer"] = able[least][f"{prefix}ratio_to_peer"]
    for role, peak in peaks.items():
        told = row[role] = _told(peak)
        if "failed" not in told:
            for prefix in ("", "cpu_"):
                rates = [x["multiply_adds"] / x[f"{prefix}milliseconds"] for x in (row["ours"], told)]
                row[f"{prefix}share_of_{role}"] = rates[0] / rates[1]
    _show_step(name, args.threads, row)
    return row


def _told(worker: Worker) -> dict[str, Any]:
    """What a worker said, with the medians and quartiles of its turns."""
    if worker.failed:
        return {"failed": worker.failed}
    found: dict[str, Any] = dict(worker.ready)
    for measure in TIMES:
        low, middle, high = np.quantile([turn[measure] for turn in worker.turns], (0.25, 0.5, 0.75)).tolist()
        found[measure], found[f"{measure}_quartiles"] = middle, [low, high]
    found["peak_mebibytes"] = worker.turns[-1]["peak_mebibytes"]
    return found


def _growth(args: argparse.Namespace, name: str) -> dict[str, Any]:
    from benchmarks.growth import exponents, growth_plot

    rows = []
    for axis, (sizes, keys, unit) in AXES.items():
        if args.quick and axis not in QUICK:
            continue
        for size in QUICK[axis] if args.quick else sizes:
            config = _config(name, *(f"{key}={size * unit}" for key in keys.split()))
            rows.append({"axis": axis, "at": size, "sides": _sides(args, config)})
            print(json.dumps(rows[-1]), flush=True)
    powers = exponents(rows)
    _show_growth(name, rows, powers)
    if args.plot:
        path = args.plot
        growth_plot(rows, path.with_stem(f"{path.stem}-{name}") if len(args.models) > 1 else path)
    return {"what": f"growth of {name}", "sizes": rows, "exponents": powers}


def _sides(args: argparse.Namespace, config: dict[str, Any]) -> dict[str, Any]:
    task = {"config": config, "threads": args.threads}
    with contextlib.ExitStack() as stack:
        ours = Worker(sys.executable, "benchmarks.training_worker", {**task, "role": "ours"})
        workers = {"ours": stack.enter_context(ours)}
        if args.peers:
            peer = Worker(args.peers, "benchmarks.training_peer_worker", {**task, **EAGER})
            workers["eager"] = stack.enter_context(peer)
        in_turns(list(workers.values()), 3, min(args.seconds, 1.0))
    found = {}
    for side, worker in workers.items():
        told = _told(worker)
        if "failed" not in told:
            told["mebibytes"] = max(told["peak_mebibytes"] - told["mebibytes_before"], 1.0)
        told.pop("versions", None)
        found[side] = told
    return found


def _config(name: str, *changes: str) -> dict[str, Any]:
    """A config with all parts of a step in use."""
    from vqmm.config import load_config

    started = "schedule.quantize_from=0", "schedule.discriminator_from=0", "schedule.adversarial_from=0"
    file, settings = CONFIGS[name]
    config = load_config(ROOT / "configs" / file, (*started, *settings, *changes))
    return config.model_dump(mode="json")


def _show_step(name: str, threads: int, row: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{name}: a step of {row['size']['batch']} pairs on {threads} threads"
    page = Table(title=f"{title}; a ratio above 1: ours is better")
    for heading in ("side", "parameters", "G mult-adds", "ms", "CPU ms", "peak MiB", "ratio", "CPU ratio"):
        page.add_column(heading)
    for side, found in {"ours": row["ours"], **row["peers"]}.items():
        if "failed" in found:
            page.add_row(side, found["failed"])
            continue
        cells = [
            side,
            f"{found['parameters']:,}",
            f"{found['multiply_adds'] / 1e9:.2f}" if "multiply_adds" in found else "",
            *(_spread(found[measure], found[f"{measure}_quartiles"], 0) for measure in TIMES),
            f"{found['peak_mebibytes']:.0f}",
        ]
        if "ratio_to_peer" in found:
            for prefix in ("", "cpu_"):
                ratio, around = found[f"{prefix}ratio_to_peer"], found[f"{prefix}ratio_quartiles"]
                cells.append(_spread(ratio, around, 2))
        page.add_row(*cells)
    Console(width=150).print(page)
    for role in ("product", "convolution"):
        if f"share_of_{role}" in row:
            rate = row[role]["multiply_adds"] / row[role]["milliseconds"] / 1e6
            print(
                f"{name}: {row[f'share_of_{role}']:.0%} of the rate of the {role} alone by the clock, "
                f"{row[f'cpu_share_of_{role}']:.0%} by CPU time ({rate:.0f} G multiply-adds a second)"
            )


def _spread(middle: float, around: Sequence[float], places: int) -> str:
    return f"{middle:.{places}f} ({around[0]:.{places}f}-{around[1]:.{places}f})"


def _show_growth(name: str, rows: Sequence[dict[str, Any]], powers: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    page = Table(title=f"{name}: a step as the work grows; exponents of all sizes and of the last two")
    for heading in ("what", "at", "side", "ms", "CPU ms", "MiB above idle"):
        page.add_column(heading)
    for row in rows:
        for side, found in row["sides"].items():
            if "failed" in found:
                page.add_row(row["axis"], str(row["at"]), side, found["failed"])
                continue
            cells = (f"{found[measure]:.0f}" for measure in (*TIMES, "mebibytes"))
            page.add_row(row["axis"], str(row["at"]), side, *cells)
    for axis, sides in powers.items():
        for side, power in sides.items():
            cells = (
                f"{power[f'{m}_all']:.2f}, last {power[f'{m}_last']:.2f}"
                for m in ("cpu_milliseconds", "mebibytes")
            )
            page.add_row(axis, "exponent", side, "", *cells)
    Console(width=120).print(page)


if __name__ == "__main__":
    run(
        "training",
        "Time training steps beside the same networks in PyTorch.",
        "  python -m benchmarks.training --quick --peers .venv-peers/bin/python",
        add_arguments,
        main,
        program="python -m benchmarks.training",
    )
