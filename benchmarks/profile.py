"""Where the time of a training step goes: by part of the model and by kind of operation.

    python -m benchmarks.profile [--config FILE] [--steps 10] [--trace DIR] [--json FILE]

TensorFlow's profiler, on random batches that are there already. Operations run beside each other, so their
times add up to more than the step took; on one core (`taskset -c 0`) they do not. What is kept with `--trace`
opens in TensorBoard, with its profile plugin.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.commands.cli import add_overrides, run

WARM = 3  # steps before the profile
LEAST = 0.001  # share of the time that is worth a line
KINDS = {
    "convolution": r"Conv2D|DepthwiseConv",
    "product": r"MatMul|Einsum",
    "transform": r"FFT",
    "copy": r"Transpose|Concat|Slice|Pad|Tile|Gather|Pack|Split|Reshape|Scatter|Cast",
    "optimizer": r"Assign|Apply",
}


class Profile(NamedTuple):
    """Milliseconds a step.

    Attributes:
        step: of the clock.
        parts: of operations, by part of the model and whether it is the gradient's: `"audio_encoder"`,
            `"audio_encoder, gradient"`; losses are `"losses"`.
        kinds: the same milliseconds by kind of operation.
        names: the same by operation.
    """

    step: float
    parts: Mapping[str, float]
    kinds: Mapping[str, float]
    names: Mapping[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="digits", help="a YAML file, or the name of a shipped config")
    add_overrides(parser)
    parser.add_argument("--steps", type=int, default=10, help="that are profiled (default: %(default)s)")
    parser.add_argument("--top", type=int, default=8, help="operations to name (default: %(default)s)")
    parser.add_argument("--trace", type=Path, metavar="DIR", help="keep the trace here, for TensorBoard")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")


def main(args: argparse.Namespace) -> None:
    import keras
    import tensorflow as tf

    from vqmm.atomic import write_atomic
    from vqmm.config import load_config

    with tempfile.TemporaryDirectory() as scratch:
        found = profiled(load_config(args.config, args.set), args.steps, args.trace or Path(scratch))
    print(f"{args.config}: {found.step:.1f} ms a step, {sum(found.parts.values()):.1f} ms of operations")
    for title, times in (("part", found.parts), ("kind", found.kinds), ("operation", found.names)):
        print(f"\n{'ms':>8} {'share':>6}  {title}")
        total = sum(times.values())
        shown = list(times.items())[: args.top if times is found.names else None]
        for name, spent in shown:
            if spent < LEAST * total:
                break
            print(f"{spent:8.2f} {spent / total:6.1%}  {name}")
    if args.json:
        versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
        row = {"what": str(args.config), "steps": args.steps, **found._asdict()}
        tree = {"machine": platform.platform(), "versions": versions, "rows": [row]}
        write_atomic(args.json, json.dumps(tree, indent=2) + "\n")


def profiled(config: Any, steps: int, folder: Path) -> Profile:
    """Profiles steps of a config's model after its codebook and discriminators have come in."""
    import tensorflow as tf

    from benchmarks.training_worker import steps_of
    from vqmm.models import build_model

    model: Any = build_model(config)
    runner = steps_of(model, config)
    runner.run(WARM)
    with tf.profiler.experimental.Profile(str(folder)):
        start = time.perf_counter()
        runner.run(steps)
        spent = time.perf_counter() - start
    trace = max(folder.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime_ns)
    parts = {layer.name for layer in model.layers}
    times = {name: milliseconds / steps for name, milliseconds in operation_times(trace).items()}
    return Profile(
        1e3 * spent / steps,
        summed(times, lambda path, kind: part_of(path, parts)),
        summed(times, lambda path, kind: kind_of(kind)),
        summed(times, lambda path, kind: f"{path} ({kind})"),
    )


def operation_times(trace: Path) -> dict[str, float]:
    """Milliseconds of each operation of graphs, by `path:kind`, as TensorFlow's profiler left them."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(trace.read_bytes())
    found: dict[str, float] = defaultdict(float)
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if re.fullmatch(r"[^:\s]+:\w+", name):  # the others are of the runtime, and hold these
                    found[name] += event.duration_ps / 1e9
    return dict(found)


def summed(times: Mapping[str, float], group: Callable[[str, str], str]) -> dict[str, float]:
    """Adds times whose `group(path, kind)` is the same; the greatest first."""
    found: dict[str, float] = defaultdict(float)
    for name, spent in times.items():
        path, _, kind = name.rpartition(":")
        found[group(_plain(path), kind)] += spent
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def part_of(path: str, layers: Collection[str]) -> str:
    """The layer of a model that an operation belongs to, from its path without numbers."""
    part = next((name for name in path.split("/")[:-1] if name in layers), None)
    if part is None:
        part = "optimizer" if re.search(r"(^|/)\w*(adam|optimizer)\w*/", path) else "losses"
    return f"{part}, gradient" if "gradient_tape/" in path else part


def kind_of(operation: str) -> str:
    """What an operation does, from TensorFlow's name for it."""
    return next((kind for kind, names in KINDS.items() if re.search(names, operation)), "element by element")


def _plain(path: str) -> str:
    """Without the numbers that tell twins apart, and the loop around the steps."""
    return re.sub(r"_\d+(?=/|$)", "", path).replace("while/body//", "").replace("while/", "")


if __name__ == "__main__":
    run(
        "profile",
        "Tells where the time of a training step goes.",
        "  python -m benchmarks.profile --config digits-vqgan --trace runs/profile",
        add_arguments,
        main,
        program="python -m benchmarks.profile",
    )
