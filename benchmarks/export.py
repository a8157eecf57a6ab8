"""What an item costs as a Keras model, as a SavedModel, as LiteRT files and, where they are, as ONNX files.

    make bench-export
    python -m benchmarks.export --run runs/demo --data data/digits [--export DIR] [--quick] [--json FILE]

A step encodes items of the test split, one at a time or 32 together (a .tflite file takes them
one after the other). The formats take turns, round by round, in one process and on the same
number of threads, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vqmm.commands.cli import run

BATCHES = (1, 32)
ROUNDS, QUICK_ROUNDS = 40, 5
STEPS = 10  # of one format before the next has its turn
PRECISIONS = ("fp32", "int8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, help="run folder that train left")
    parser.add_argument("--data", type=Path, required=True, help="its prepared data")
    parser.add_argument("--export", type=Path, help="what vqmm export left of the run (default: RUN/export)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--json", type=Path, help="also write the table to this file")


def main(args: argparse.Namespace) -> None:
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import keras
    import numpy as np
    import tensorflow as tf
    from rich.console import Console
    from rich.table import Table

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from vqmm.atomic import write_atomic
    from vqmm.commands.export import size_of
    from vqmm.data.records import Dataset
    from vqmm.export.runners import litert_runners, onnx_runners, saved_model_runners
    from vqmm.export.samples import sample_items
    from vqmm.training.run_folder import open_run

    folder = args.export or args.run / "export"
    paths = _paths(folder)
    opened = open_run(args.run, coded=True)
    items = sample_items(Dataset.open(args.data), opened.config, "test", max(BATCHES))
    runners = {"saved_model": saved_model_runners(paths["saved_model"])}
    runners |= {f"litert_{p}": litert_runners(paths[f"litert_{p}"], args.threads) for p in PRECISIONS}
    if "onnx" in paths:
        runners["onnx"] = onnx_runners(paths["onnx"], args.threads)
    sizes = {"keras": (args.run / "model.keras").stat().st_size}
    sizes |= {name: size_of(path) for name, path in paths.items()}

    rows: list[dict[str, Any]] = []
    page = Table(title=f"encoding, {args.threads} thread(s); ratio of p50 to that of the SavedModel")
    for heading in ("signature", "batch", "format", "least ms", "p50 ms", "p99 ms", "ratio", "MB"):
        page.add_column(heading)
    for modality, values in items.items():
        shape = tf.TensorSpec((None, *values.shape[1:]), tf.float32)

        steps = {"keras": _keras_step(opened.model, modality, shape)}
        steps |= {name: _step(given(f"encode_{modality}"), modality) for name, given in runners.items()}
        for batch in BATCHES:
            found = _times(steps, values[:batch], QUICK_ROUNDS if args.quick else ROUNDS)
            base = float(np.median(found["saved_model"]))
            for name, times in found.items():
                least, p50, p99 = (float(np.percentile(times, share)) for share in (0, 50, 99))
                row = {
                    "what": f"encode_{modality}",
                    "size": {"batch": batch},
                    "format": name,
                    "least_ms": least,
                    "p50_ms": p50,
                    "p99_ms": p99,
                    "bytes": sizes[name],
                    "ratio_to_saved_model": base / p50,
                }
                rows.append(row)
                cells = [f"{value:.3f}" for value in (least, p50, p99)]
                cells += [f"{base / p50:.2f}", f"{sizes[name] / 1e6:.2f}"]
                page.add_row(f"encode_{modality}", str(batch), name, *cells)
    Console().print(page)
    if args.json:
        versions = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
        tree = {"machine": platform.platform(), "versions": versions, "threads": args.threads, "rows": rows}
        write_atomic(args.json, json.dumps(tree, indent=2) + "\n")


def _paths(folder: Path) -> dict[str, Path]:
    from vqmm.errors import UserError

    versions = [path for path in (folder / "saved_model").glob("*") if path.name.isdecimal()]
    files = {f"litert_{p}": folder / "litert" / f"model_{p}.tflite" for p in PRECISIONS}
    if not versions or not all(path.exists() for path in files.values()):
        raise UserError(
            f"{folder} lacks the SavedModel or LiteRT files; vqmm export --out {folder} makes them"
        )
    found = {"saved_model": max(versions, key=lambda path: int(path.name)), **files}
    return {**found, "onnx": folder / "onnx"} if (folder / "onnx").is_dir() else found


def _keras_step(model: Any, modality: str, spec: Any) -> Callable[[Any], Any]:
    import tensorflow as tf

    traced = tf.function(lambda batch: model.encode(**{modality: batch}, fine=False), input_signature=[spec])
    return lambda values: [codes.numpy() for codes in traced(values) if codes is not None]


def _step(run: Callable[[dict[str, Any]], Any], modality: str) -> Callable[[Any], Any]:
    return lambda values: run({modality: values})


def _times(steps: dict[str, Callable[[Any], Any]], values: Any, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each step, the formats by turns."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(3):
            step(values)
    for _ in range(rounds):
        for name, step in steps.items():
            for _ in range(STEPS):
                start = time.perf_counter()
                step(values)
                found[name].append(1000 * (time.perf_counter() - start))
    return found


if __name__ == "__main__":
    run(
        "export",
        "Latency and size of a run's model in each format.",
        "  python -m benchmarks.export --run runs/demo --data data/digits",
        add_arguments,
        main,
        program="python -m benchmarks.export",
    )
