"""A data set and a config small enough to train on in seconds."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# XLA, of TensorFlow and of JAX, compiles here what runs once or twice.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from filelock import FileLock
from hypothesis import settings
from PIL import Image

from vqmm.config import Config, Train
from vqmm.data.prepare import prepare
from vqmm.data.records import Dataset
from vqmm.training import loop
from vqmm.training.strategy import make_strategy

RATE = 2000

# Two logical devices, so that mirrored training is tested on any machine.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
# Graphs run for a few steps here: to optimise one takes far longer than it saves. Launchers do it.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
# TensorFlow counts a function's tracings over the whole process, so over all tests that it runs, and
# its advice would come into whichever test happens to be the fifth to train.
tf.get_logger().addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())
# An example takes longer than hypothesis's 200 ms on a busy machine.
settings.register_profile("vqmm", deadline=None)
settings.load_profile("vqmm")
COUNTS = {"train": 24, "validation": 8, "test": 8}


# Files that take a minute or more, the longest first.
LONGEST = (
    "test_strategy",
    "test_compare_kinds",
    "test_train",
    "test_loop",
    "test_step_runner",
    "test_index_query",
    "test_eight_bits",
    "test_compare",
    "test_prepare_bad_input",
    "test_vqvae",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first: begun last, one of them would keep a single process busy at the end."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="module", autouse=True)
def _old_graphs_are_not_searched_again() -> Iterator[None]:
    """Else the collector walks the graphs of all earlier tests again and again: minutes."""
    gc.disable()
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def our_messages(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Returns a function that lists what vqmm itself, and no other library, has logged so far."""

    def read() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.name.partition(".")[0] == "vqmm"]

    return read


@pytest.fixture(scope="session")
def coarse_config(tiny_config: Config) -> Config:
    """`tiny_config` without fine codes: to place them takes a tenth of such a short run."""
    quantizer = tiny_config.model.quantizer.model_copy(update={"fine": 0})
    model = tiny_config.model.model_copy(update={"quantizer": quantizer})
    return tiny_config.model_copy(update={"model": model})


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Gives a function that makes a folder once for all processes of this pytest call."""
    base = tmp_path_factory.getbasetemp()
    # Each of xdist's processes has a folder of its own inside the folder of the call.
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make_once(name: str, make: Callable[[Path], object]) -> Path:
        folder, finished = common / name, common / f"{name}.finished"
        with FileLock(common / f"{name}.lock"):
            if not finished.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what another process left when it failed
                make(folder)
                finished.touch()
        return folder

    return make_once


class NudgingSteps:
    """Takes the place of `StepRunner`: a step adds a little to every weight, and traces no graph."""

    def __init__(self, model: Any, *_: Any, **__: Any):
        self.model = model
        self.names = ["loss"]

    def run(self, count: int) -> np.ndarray:
        """Takes `count` steps; returns their losses, f32[count, 1]."""
        for variable in self.model.trainable_variables:
            variable.assign(variable + 1e-5 * count)
        self.model.step.assign_add(count)
        return np.ones((count, 1), "float32")


@pytest.fixture
def nudging_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces training steps by `NudgingSteps`, for tests of what happens around steps."""
    monkeypatch.setattr(loop, "StepRunner", NudgingSteps)


@pytest.fixture(scope="session")
def two_replicas() -> tf.distribute.Strategy:
    """The halves of the processor as two devices."""
    return make_strategy(Train(strategy="mirrored", devices=("CPU:0", "CPU:1")))


@pytest.fixture(scope="session")
def tiny_config() -> Config:
    """Four labels, tones and stripes, two slots."""
    return Config.model_validate(
        {
            "name": "tiny",
            "data": {
                "pair_by": "label",
                "audio": {"sample_rate": RATE, "samples": 1024},
                "image": {"height": 16, "width": 16, "channels": 1},
            },
            "augment": {"audio": {"gain_db": 3}, "image": {"noise": 0.05}},
            "model": {
                "slots": 2,
                "filters": [4],
                "dropout": 0.1,
                "log_mel": {"n_fft": 64, "hop_length": 32, "mels": 16},
                "quantizer": {"dim": 8, "shared": 4, "image": 8, "audio": 8, "fine": 4},
            },
            "schedule": {"quantize_from": 4, "kmeans_batches": 2},
            "train": {
                "steps": 12,
                "batch_size": 8,
                "warmup_steps": 2,
                "validate_every": 6,
                "checkpoint_every": 6,
                "tensorboard": False,
            },
            "evaluate": {"batch_size": 8},
        }
    )


@pytest.fixture(scope="session")
def tiny_data(tiny_config: Config, made_once: Callable[[str, Callable[[Path], object]], Path]) -> Dataset:
    """Tones whose pitch, and stripes whose direction, tell the label. Tests do not change them."""
    return Dataset.open(made_once("tiny", lambda folder: write_tiny_data(folder, tiny_config)) / "data")


def write_tiny_data(folder: Path, config: Config) -> None:
    """Writes the files and the manifest into `folder`, and the prepared data into `folder/data`."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["audio,image,label,split"]
    for split, count in COUNTS.items():
        for n in range(count):
            label = n % 4
            time = np.arange(900 + 20 * n) / RATE
            tone = 0.5 * np.sin(2 * np.pi * (150 + 180 * label) * time) + 0.02 * rng.standard_normal(
                len(time)
            )
            soundfile.write(folder / f"{split}{n}.wav", tone, RATE)
            y, x = np.mgrid[:16, :16]
            wave = np.sin((x * np.cos(label * np.pi / 4) + y * np.sin(label * np.pi / 4)) + rng.uniform(0, 6))
            Image.fromarray((127 + 120 * wave).astype("uint8")).save(folder / f"{split}{n}.png")
            lines += [f"{split}{n}.wav,,{label},{split}", f",{split}{n}.png,{label},{split}"]
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    prepare(manifest, config, folder / "data", workers=1, progress=False)
