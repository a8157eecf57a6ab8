"""Layers on an accelerator, by Keras's JAX backend, beside what the device can do at most.

    KERAS_BACKEND=jax python -m benchmarks.accelerator [--json FILE]

The ceilings are measured in the same process: a product of two square matrices, in float32 as JAX
computes it by default and in bfloat16, and a copy of a large array. Needs Keras and JAX; TensorFlow is
not imported.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import keras  # noqa: E402
from keras import ops  # noqa: E402

SPEND = 1.0  # seconds to repeat for
TOKENS, DIM = 65_536, 64
CODES = (1024, 8192, 65_536)
LEVELS = (8, 8, 8, 5, 5, 5)
BATCHES = (64, 1024)
PICTURE, SPECTROGRAM = (32, 32, 1), (51, 32, 1)


def least_seconds(call: Callable[..., Any], *arguments: Any) -> float:
    """Least time of a call to its finished result; compiling is not timed."""
    jax.block_until_ready(call(*arguments))
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < SPEND:
        start = time.perf_counter()
        jax.block_until_ready(call(*arguments))
        best = min(best, time.perf_counter() - start)
    return best


def normal(seed: int, *shape: int) -> Any:
    return jax.random.normal(jax.random.key(seed), shape)


def ceilings(side: int, megabytes: int) -> dict[str, float]:
    """Products in TFLOP/s and copies in GB/s, bytes read and written both counted."""
    square = normal(0, side, side)
    half = square.astype(jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    work = 2e-12 * side**3
    large = jnp.zeros(megabytes * 250_000, "float32")
    return {
        "float32": work / least_seconds(product, square, square),
        "bfloat16": work / least_seconds(product, half, half),
        "copy": 2e-3 * megabytes / least_seconds(jax.jit(lambda x: x + 1), large),
    }


def searched(codes: int, limits: dict[str, float]) -> dict[str, Any]:
    """A training step of the nearest-neighbour quantizer: codes, losses, gradient of the latents."""
    from vqmm.quantizers import VectorQuantizer

    layer = VectorQuantizer({"codes": codes}, DIM, distance="euclidean", revive_below=0.0)
    latents, table = normal(1, 1, TOKENS, DIM), normal(2, codes, DIM)
    layer.place("codes", table)

    def loss(latents: Any) -> Any:
        out = layer(latents)
        return ops.sum(out.values) + out.commitment_loss, out.codes

    seconds = least_seconds(jax.jit(jax.grad(loss, has_aux=True)), latents)
    # The same product and a maximum of each row, all scores at once: what no search can do without.
    bare = least_seconds(jax.jit(lambda x, t: jnp.max(x @ t.T, axis=-1)), latents[0], table)
    rate = 2e-12 * TOKENS * DIM * codes / seconds
    return {
        "what": f"nearest of {codes:,} codes, {TOKENS:,} x {DIM}",
        "milliseconds": 1e3 * seconds,
        "rate": rate,
        "of_ceiling": rate / limits["float32"],
        "bare_milliseconds": 1e3 * bare,
    }


def rounded(limits: dict[str, float]) -> dict[str, Any]:
    """A training step of the uniform quantizer; its ceiling is memory: read, written, and back."""
    from vqmm.quantizers import FSQ

    layer = FSQ(LEVELS)
    latents = normal(3, 1, 16 * TOKENS, len(LEVELS))

    def loss(latents: Any) -> Any:
        out = layer(latents)
        return ops.sum(ops.square(out.values)), out.codes

    seconds = least_seconds(jax.jit(jax.grad(loss, has_aux=True)), latents)
    moved = 1e-9 * 4 * latents.size * 2 / seconds  # latents in, their gradient out
    return {
        "what": f"uniform, {16 * TOKENS:,} x {len(LEVELS)}",
        "milliseconds": 1e3 * seconds,
        "rate": moved,
        "of_ceiling": moved / limits["copy"],
    }


def networks(name: str, shape: tuple[int, ...], batch: int, limits: dict[str, float]) -> dict[str, Any]:
    """Encoder, decoder and their gradients, of the digits' size."""
    from vqmm.networks import Decoder, Encoder

    encoder = Encoder((24, 48), DIM)
    encoder.build((None, *shape))
    decoder = Decoder((48, 24), DIM, encoder.grid_shape, shape, slots=8)
    variables = [*encoder.trainable_variables, *decoder.trainable_variables]
    fixed = [*encoder.non_trainable_variables, *decoder.non_trainable_variables]
    values, rest = [v.value for v in variables], [v.value for v in fixed]
    items = normal(4, batch, *shape)

    def loss(values: list[Any], items: Any) -> Any:
        state = [*zip(variables, values, strict=True), *zip(fixed, rest, strict=True)]
        with keras.StatelessScope(state_mapping=state):
            latents = encoder(items, training=True)
            rebuilt = decoder.value(decoder(latents.shared, latents.private, training=True).parameters)
            return ops.mean(ops.square(rebuilt - items))

    compiled = jax.jit(jax.value_and_grad(loss)).lower(values, items).compile()
    seconds = least_seconds(compiled, values, items)
    counted = compiled.cost_analysis() or {}
    rate = 1e-12 * counted.get("flops", float("nan")) / seconds
    return {
        "what": f"networks of a {name}, {batch} items",
        "milliseconds": 1e3 * seconds,
        "items": batch / seconds,
        "rate": rate,
        "of_ceiling": rate / limits["float32"],
    }


def main() -> None:
    from vqmm.atomic import write_atomic

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    args = parser.parse_args()
    if keras.backend.backend() != "jax":
        parser.error(f"KERAS_BACKEND is {keras.backend.backend()}; legal: jax")
    limits = ceilings(512, 4) if args.quick else ceilings(8192, 1024)
    device = jax.devices()[0]
    print(
        f"{device.device_kind}: {limits['float32']:.1f} TFLOP/s float32, "
        f"{limits['bfloat16']:.1f} bfloat16, {limits['copy']:.0f} GB/s"
    )
    rows = [searched(codes, limits) for codes in CODES[: 1 if args.quick else None]]
    rows.append(rounded(limits))
    for batch in BATCHES[: 1 if args.quick else None]:
        rows += [networks("picture", PICTURE, batch, limits)]
        rows += [networks("spectrogram", SPECTROGRAM, batch, limits)]
    for row in rows:
        unit = "GB/s" if row["what"].startswith("uniform") else "TFLOP/s"
        words = f"{row['what']}: {row['milliseconds']:.3f} ms, {row['rate']:.2f} {unit}"
        words += f", {100 * row['of_ceiling']:.1f} % of the ceiling"
        if "bare_milliseconds" in row:
            words += f", bare product and maximum {row['bare_milliseconds']:.3f} ms"
        if "items" in row:
            words += f", {row['items']:,.0f} items a second"
        print(words)
    if args.json:
        versions = {"jax": jax.__version__, "keras": keras.__version__}
        tree = {"device": device.device_kind, "versions": versions, "ceilings": limits, "rows": rows}
        write_atomic(args.json, json.dumps(tree, indent=2) + "\n")


if __name__ == "__main__":
    main()
