"""Times one layer at one size and prints JSON; `benchmarks.quantizers` runs it."""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np

SPEND = 3.0  # seconds to repeat for
BLOCK = 2**22  # scores of the floor that exist at one time


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(step: Callable[[], Any], before: float) -> dict[str, float]:
    """Least time in ms and peak memory in MiB above `before`; the first call is not timed."""
    step()
    best, began = float("inf"), time.perf_counter()
    while best == float("inf") or time.perf_counter() - began < SPEND:
        start = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - start)
    return {"milliseconds": 1e3 * best, "mebibytes": _peak() - before}


def ours(x: np.ndarray, table: np.ndarray, threads: int) -> dict[str, float]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from vqmm.quantizers import Assignment, VectorQuantizer

    layer = VectorQuantizer({"codes": len(table)}, x.shape[1], distance="euclidean", revive_below=0.0)
    layer.place("codes", table)
    latents = tf.constant(x[None])

    @tf.function(autograph=False)
    def step(latents: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(latents)
            out = layer(latents)
            loss = tf.reduce_sum(out.values) + out.commitment_loss
        gradient = tape.gradient(loss, latents)
        layer.update([Assignment(latents, out.codes, None)])
        return tf.reduce_sum(gradient)

    warm = VectorQuantizer({"codes": 2}, 2, distance="euclidean")  # so that libraries are loaded
    warm(tf.zeros((1, 2, 2)))
    before = _peak()
    return measure(lambda: step(latents).numpy(), before)


def sonnet(x: np.ndarray, table: np.ndarray, threads: int) -> dict[str, float]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import sonnet as snt

    layer = snt.nets.VectorQuantizerEMA(x.shape[1], len(table), 0.25, 0.99)
    layer.embeddings.assign(table.T)
    latents = tf.constant(x[None])

    @tf.function(autograph=False)
    def step(latents: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(latents)
            out = layer(latents, is_training=True)
            loss = tf.reduce_sum(out["quantize"]) + out["loss"]
        return tf.reduce_sum(tape.gradient(loss, latents))

    before = _peak()
    return measure(lambda: step(latents).numpy(), before)


def vector_quantize_pytorch(x: np.ndarray, table: np.ndarray, threads: int) -> dict[str, float]:
    import torch
    from vector_quantize_pytorch import VectorQuantize

    torch.set_num_threads(threads)
    layer = VectorQuantize(
        x.shape[1],
        len(table),
        decay=0.99,
        commitment_weight=0.25,
        rotation_trick=False,
        threshold_ema_dead_code=0,
        kmeans_init=False,
    ).train()
    layer._codebook.embed.data.copy_(torch.from_numpy(table)[None])
    latents = torch.from_numpy(x[None]).requires_grad_()

    def step() -> float:
        latents.grad = None
        values, _, loss = layer(latents)
        (values.sum() + loss.sum()).backward()
        return float(latents.grad.sum())

    before = _peak()
    return measure(step, before)


def dac(x: np.ndarray, table: np.ndarray, threads: int) -> dict[str, float]:
    """Its codebook learns by gradient, and it projects before and after the search."""
    _without_init("dac", "dac.nn")
    import torch
    from dac.nn.quantize import VectorQuantize

    torch.set_num_threads(threads)
    layer = VectorQuantize(x.shape[1], len(table), x.shape[1]).train()
    layer.codebook.weight.data.copy_(torch.from_numpy(table))
    latents = torch.from_numpy(x.T[None].copy()).requires_grad_()

    def step() -> float:
        latents.grad = layer.codebook.weight.grad = None
        values, commitment, codebook, _, _ = layer(latents)
        (values.sum() + commitment.sum() + codebook.sum()).backward()
        return float(latents.grad.sum())

    before = _peak()
    return measure(step, before)


def _without_init(*names: str) -> None:
    """Packages whose __init__ is not run: DAC's wants an audio stack that its quantizer does not use."""
    for name in names:
        found = importlib.util.find_spec(name)
        if found is None or found.submodule_search_locations is None:
            raise ModuleNotFoundError(f"no package {name}")
        package = types.ModuleType(name)
        package.__path__ = list(found.submodule_search_locations)
        sys.modules[name] = package


def floor(x: np.ndarray, table: np.ndarray, threads: int) -> dict[str, float]:
    """The faster of NumPy's and TensorFlow's product, in blocks."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    turned = np.ascontiguousarray(table.T)
    rows = max(BLOCK // len(table), 1)
    scores = np.empty((rows, len(table)), "float32")

    def step() -> None:
        for start in range(0, len(x), rows):
            part = x[start : start + rows]
            np.matmul(part, turned, out=scores[: len(part)])

    held = [tf.constant(x[start : start + rows]) for start in range(0, len(x), rows)], tf.constant(turned)

    def other() -> None:
        for part in held[0]:
            last = tf.matmul(part, held[1])
        last.numpy()

    before = _peak()
    return min(measure(step, before), measure(other, before), key=lambda found: found["milliseconds"])


LAYERS = {
    "ours": ours,
    "sonnet": sonnet,
    "dac": dac,
    "vector-quantize-pytorch": vector_quantize_pytorch,
    "floor": floor,
}


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(task["tokens"], task["dim"])).astype("float32")
    table = rng.normal(size=(task["codes"], task["dim"])).astype("float32")
    print(json.dumps(LAYERS[task["layer"]](x, table, task["threads"])))
