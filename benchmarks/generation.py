"""How long drawing takes: in parallel, and one token after the other, in one run.

    python -m benchmarks.generation --run runs/digits-prior [--json FILE]

Both draw pairs from the same layout with the same blocks: the masked prior of the run in few
steps, and an autoregressive one of the same size with a key/value cache (fresh weights: they do not change
the time). Compiled before they are timed; in turns, the least of all repeats.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

from vqmm.commands.cli import run
from vqmm.errors import UserError

BATCHES = (1, 4, 16, 64)
QUICK = (1, 4)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, help="of a masked prior")
    parser.add_argument("--steps", type=int, nargs="+", default=[12, 8], help="of parallel decoding")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small batches alone")
    parser.add_argument("--json", type=Path, help="also write the table to this file")


def main(args: argparse.Namespace) -> None:
    from vqmm.training.run_folder import open_run

    opened = open_run(args.run)
    if opened.config.prior is None or opened.config.prior.kind != "masked":
        raise UserError(f"{args.run} holds no masked prior; give the run of one")
    import keras
    import numpy as np
    import tensorflow as tf
    from rich.console import Console
    from rich.table import Table

    from vqmm.atomic import write_atomic
    from vqmm.models import HIDDEN, Prior, Sampler, Settings

    masked = opened.model
    peer = Prior.from_config({**masked.get_config(), "kind": "autoregressive", "name": "one_by_one"})
    names, length = masked.tokens.names, masked.tokens.length
    samplers = {f"parallel, {steps} steps": Sampler(masked, Settings(steps=steps)) for steps in args.steps}
    samplers["one by one, cached"] = Sampler(peer)
    rows: list[dict[str, Any]] = []
    page = Table(title=f"{length} tokens an item; a ratio above 1: parallel is faster")
    for heading in ("items at once", "how", "s", "ratio"):
        page.add_column(heading)
    for batch in QUICK if args.quick else BATCHES:
        nothing = np.full((batch, length), HIDDEN, "int32")
        times: dict[str, list[float]] = {how: [] for how in samplers}
        for turn in range(args.repeats + 1):
            for how, sampler in samplers.items():
                started = time.perf_counter()
                sampler.fill(nothing, names, seed=turn)
                times[how].append(time.perf_counter() - started)
        least = {how: min(found[1:]) for how, found in times.items()}  # the first call compiles
        other = least.pop("one by one, cached")
        page.add_row(str(batch), "one by one, cached", f"{other:.3f}", "")
        for how, seconds in least.items():
            page.add_row("", how, f"{seconds:.3f}", f"{other / seconds:.2f}")
            row = {"what": how, "size": {"items": batch, "tokens": length}}
            rows.append({**row, "ours": seconds, "peer": other, "ratio_to_peer": other / seconds})
    Console().print(page)
    if args.json:
        versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
        tree = {"machine": platform.platform(), "versions": versions, "rows": rows}
        write_atomic(args.json, json.dumps(tree, indent=2) + "\n")


if __name__ == "__main__":
    run(
        "generation",
        "Time parallel decoding beside autoregressive decoding.",
        "  python -m benchmarks.generation --run runs/digits-prior --json runs/generation.json",
        add_arguments,
        main,
        program="python -m benchmarks.generation",
    )
