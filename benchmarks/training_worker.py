"""Our training step, or a machine's peak, in turns; `benchmarks.training` runs it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.turns import peak_mebibytes, serve

if TYPE_CHECKING:
    from vqmm.training.step_runner import StepRunner

BATCHES = 4  # that steps go round
SIDE = 2048  # of the product that measures the machine


def ours(task: dict[str, Any]) -> None:
    """The step of `vqmm.training`, on batches that are there already."""
    import tensorflow as tf

    _threads(task)
    import keras

    from vqmm.config import check_config
    from vqmm.models import build_model
    from vqmm.training.optimizer import compile_model
    from vqmm.training.step_runner import StepRunner

    config = check_config(task["config"])
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    model: Any = build_model(config)
    compile_model(model, config)
    batches = tf.data.Dataset.from_tensor_slices(random_batches(config)).repeat()
    before = peak_mebibytes()
    runner = StepRunner(model, tf.distribute.get_strategy(), batches, config.train.jit_compile)
    start = time.perf_counter()
    runner.run(1)
    ready = {
        "parameters": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        "first_step_seconds": time.perf_counter() - start,
        "mebibytes_before": before,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
    }
    if task.get("count"):
        from benchmarks.multiply_adds import multiply_adds

        batch = {name: tf.constant(values[0]) for name, values in random_batches(config).items()}
        traced = tf.function(lambda: model.train_step(batch), autograph=False).get_concrete_function()
        ready["multiply_adds"] = multiply_adds(traced.graph)
    serve(runner.run, ready)


def product(task: dict[str, Any]) -> None:
    """The faster of NumPy's and TensorFlow's product of square matrices."""
    import tensorflow as tf

    _threads(task)
    a = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype("float32")
    held, out = tf.constant(a), np.empty_like(a)

    def by_tensorflow(count: int) -> None:
        for _ in range(count):
            found = tf.matmul(held, held)
        found.numpy()

    def by_numpy(count: int) -> None:
        for _ in range(count):
            np.matmul(a, a, out=out)

    def seconds(run: Callable[[int], None]) -> float:
        run(1)
        start = time.perf_counter()
        run(4)
        return time.perf_counter() - start

    serve(min((by_tensorflow, by_numpy), key=seconds), {"multiply_adds": SIDE**3})


def convolution(task: dict[str, Any]) -> None:
    """A 3x3 convolution of 64 channels on 64 grids of 32 x 32."""
    import tensorflow as tf

    _threads(task)
    x, kernel = tf.random.normal((64, 32, 32, 64)), tf.random.normal((3, 3, 64, 64))

    def run(count: int) -> None:
        for _ in range(count):
            found = tf.nn.conv2d(x, kernel, 1, "SAME")
        found.numpy()

    run(1)
    serve(run, {"multiply_adds": 64 * 32 * 32 * 9 * 64 * 64})


def _threads(task: dict[str, Any]) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(task["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(task["threads"])


def steps_of(model: Any, config: Any) -> StepRunner:
    """Steps of a model whose codebook and discriminators have come in, on batches that are there already."""
    import tensorflow as tf

    from vqmm.training.optimizer import compile_model
    from vqmm.training.step_runner import StepRunner

    compile_model(model, config)
    schedule = config.schedule
    model.step.assign(max(schedule.quantize_from, schedule.discriminator_from, schedule.adversarial_from) + 1)
    batches = tf.data.Dataset.from_tensor_slices(random_batches(config)).repeat()
    return StepRunner(model, tf.distribute.get_strategy(), batches, config.train.jit_compile)


def random_batches(config: Any) -> dict[str, np.ndarray]:
    """A few batches of a config's sizes, one after the other along the first axis."""
    rng, count = np.random.default_rng(0), config.train.batch_size
    image = config.data.image
    size = (BATCHES, count)
    there = np.ones(size, bool)
    return {
        "audio": rng.uniform(-0.5, 0.5, (*size, config.data.audio.samples)).astype("float32"),
        "image": rng.uniform(size=(*size, image.height, image.width, image.channels)).astype("float32"),
        "audio_mask": there,
        "image_mask": there,
    }


ROLES = {"ours": ours, "product": product, "convolution": convolution}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    ROLES[given["role"]](given)
