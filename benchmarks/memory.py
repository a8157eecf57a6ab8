"""The most memory that training takes with a large codebook, beyond TensorFlow's own footprint.

    python -m benchmarks.memory [--codes 65536] [--tokens 65536] [--json FILE]

Whole training steps of a config on random items: encoders, quantizer, decoders, losses, optimizer. The
agreement loss is off: it weighs every shared code against every other token, for an alphabet that
finds its size, of which nobody asks for so many codes.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

from vqmm.commands.cli import add_overrides, run

STEPS = 4  # the peak does not grow after the second
ALONE = "loss.agreement=0"  # where nothing is set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="digits", help="a YAML file, or the name of a shipped config")
    parser.add_argument("--codes", type=int, default=65_536, help="of the shared range")
    parser.add_argument("--tokens", type=int, default=65_536, help="quantized in a step, about")
    add_overrides(parser)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")


def main(args: argparse.Namespace) -> None:
    import keras
    import tensorflow as tf

    from benchmarks.turns import peak_mebibytes
    from vqmm.atomic import write_atomic
    from vqmm.config import load_config

    config = load_config(args.config, [f"model.quantizer.shared={args.codes}", *(args.set or [ALONE])])
    tf.linalg.matmul(tf.ones((64, 64)), tf.ones((64, 64)))
    footprint = peak_mebibytes()
    found = trained(config, args.tokens)
    beyond = peak_mebibytes() - footprint
    print(
        f"{args.config}, {args.codes:,} shared codes, {found['tokens']:,} tokens of "
        f"{found['items']} pairs a step: {beyond:,.0f} MiB beyond TensorFlow's {footprint:,.0f}"
    )
    if args.json:
        row = {
            "what": str(args.config),
            "size": {"codes": args.codes, **found},
            "mebibytes": beyond,
            "footprint": footprint,
        }
        versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
        tree = {"machine": platform.platform(), "versions": versions, "rows": [row]}
        write_atomic(args.json, json.dumps(tree, indent=2) + "\n")


def trained(config: Any, tokens: int) -> dict[str, int]:
    """Trains a few steps on as many pairs as have about so many tokens; says how many they were."""
    from benchmarks.training_worker import steps_of
    from vqmm.models import build_model

    model = build_model(config)
    each = 0
    for name, encoder in model.encoders.items():
        cells = encoder.grid_shape[0] * encoder.grid_shape[1]
        each += encoder.slots or cells
        each += 0 if model.private_range(name) is None else cells
    items = max(tokens // each, 1)
    sized = config.model_copy(update={"train": config.train.model_copy(update={"batch_size": items})})
    steps_of(model, sized).run(STEPS)
    return {"items": items, "tokens": items * each}


if __name__ == "__main__":
    run(
        "memory",
        "Measures the peak memory of training with a large codebook.",
        "  python -m benchmarks.memory --json runs/memory.json",
        add_arguments,
        main,
        program="python -m benchmarks.memory",
    )
