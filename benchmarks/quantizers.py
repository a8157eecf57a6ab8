"""What a step of nearest-neighbour quantization costs, beside peers and beside the matmul alone.

    make bench-quantizers            # all sizes, with the peers in an environment of their own
    python -m benchmarks.quantizers --quick --peers .venv-peers/bin/python [--json FILE]

A step is forward, gradient to the latents, and the moving average of the codebook, on the
same number of threads. Each size and layer runs in a process of its own, ours before and
after the peer; the time is the least of all repeats, the memory the peak above what the
process held when latents and codebook were there. The floor is the product of latents and
codebook alone, in blocks, by NumPy or TensorFlow, whichever is faster.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from vqmm.commands.cli import run

WORKER = Path(__file__).with_name("quantizer_worker.py")
SIZES = {"tokens": (4096, 65_536), "dim": (8, 64, 256), "codes": (1024, 8192, 65_536)}
QUICK = {"tokens": (4096,), "dim": (8, 64), "codes": (1024, 8192)}
PEERS = ("vector-quantize-pytorch", "sonnet", "dac")
LIMIT = 600  # seconds that one process may take


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--peers", type=Path, help="a Python that has the peers; left out: ours and the floor"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small sizes alone")
    parser.add_argument("--json", type=Path, help="also write the table to this file")


def main(args: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from vqmm.atomic import write_atomic

    sizes = QUICK if args.quick else SIZES
    rows: list[dict[str, Any]] = []
    page = Table(title="forward and backward, ms and MiB; a ratio above 1: ours is better")
    for heading in ("tokens x dim x codes", "layer", "ms", "peak MiB", "time ratio", "memory ratio"):
        page.add_column(heading)
    for tokens, dim, codes in itertools.product(*sizes.values()):
        what = {"tokens": tokens, "dim": dim, "codes": codes}

        def measured(layer: str, python: Path | str, what: dict[str, int] = what) -> dict[str, Any]:
            return _measure(python, {"layer": layer, "threads": args.threads, **what})

        first = measured("ours", sys.executable)
        peers = {name: measured(name, args.peers) for name in PEERS if args.peers}
        floor = measured("floor", sys.executable)
        again = measured("ours", sys.executable)
        label = f"{tokens} x {dim} x {codes}"
        failed = [found["failed"] for found in (first, floor, again) if "failed" in found]
        if failed:
            page.add_row(label, "ours", failed[0], "", "", "")
            rows.append({"what": "nearest, ema", "size": what, "failed": failed[0], "peers": peers})
            print(json.dumps(rows[-1]), flush=True)
            continue
        ours = {
            "milliseconds": min(first["milliseconds"], again["milliseconds"]),
            "mebibytes": min(first["mebibytes"], again["mebibytes"]),
        }
        page.add_row(label, "ours", f"{ours['milliseconds']:.1f}", f"{ours['mebibytes']:.0f}", "", "")
        row: dict[str, Any] = {
            "what": "nearest, ema",
            "size": what,
            "ours": ours,
            "peers": {},
            "floor": floor,
        }
        row["ratio_to_floor"] = floor["milliseconds"] / ours["milliseconds"]
        page.add_row("", "floor", f"{floor['milliseconds']:.1f}", "", f"{row['ratio_to_floor']:.2f}", "")
        for name, found in peers.items():
            row["peers"][name] = found
            if "failed" in found:
                page.add_row("", name, found["failed"], "", "", "")
                continue
            time = found["milliseconds"] / ours["milliseconds"]
            memory = found["mebibytes"] / max(ours["mebibytes"], 1.0)
            found["ratio_to_peer"], found["memory_ratio"] = time, memory
            cells = (
                f"{found['milliseconds']:.1f}",
                f"{found['mebibytes']:.0f}",
                f"{time:.2f}",
                f"{memory:.2f}",
            )
            page.add_row("", name, *cells)
        rows.append(row)
        print(json.dumps(row), flush=True)
    Console().print(page)
    if args.json:
        tree = {"machine": platform.platform(), "threads": args.threads, "rows": rows}
        write_atomic(args.json, json.dumps(tree, indent=2))


def _measure(python: Path | str, task: dict[str, Any]) -> dict[str, Any]:
    threads = str(task["threads"])
    env = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [str(python), str(WORKER), json.dumps(task)]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {LIMIT} s"}
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [""]
        return {"failed": f"stopped with {done.returncode}: {said[0][:120]}"}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    run(
        "quantizers",
        "Time quantizers beside their peers.",
        "  python -m benchmarks.quantizers --quick --peers .venv-peers/bin/python",
        add_arguments,
        main,
        program="python -m benchmarks.quantizers",
    )
