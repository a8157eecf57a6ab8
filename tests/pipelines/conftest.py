"""A run small enough to train in seconds, and a way to call verbs as people do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from vqmm.commands.launch import launch
from vqmm.config import Config
from vqmm.data.records import Dataset
from vqmm.encoding import encode_split
from vqmm.training.loop import train
from vqmm.training.model_file import save_model
from vqmm.training.run_folder import open_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tiny_run(
    tiny_config: Config, tiny_data: Dataset, made_once: Callable[[str, Callable[[Path], object]], Path]
) -> Path:
    """A finished run on the tiny data, its shared codes placed so that items differ in them."""
    return made_once("tiny-run", lambda folder: train_tiny_run(folder, tiny_config, tiny_data))


def train_tiny_run(folder: Path, config: Config, data: Dataset) -> None:
    """Trains in `folder`, then places the shared codes."""
    train(config, data, folder)
    run = open_run(folder)
    # A few steps leave all items of a modality on one code: put two codes on latents of each.
    latents = [encode_split(run.model, data, run.config, "test", m).embeddings for m in ("audio", "image")]
    run.model.quantizer.place("shared", np.concatenate([part[[0, 2], 0] for part in latents]))
    save_model(run.model, folder / "model.keras")


class Said(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str

    def refusal(self) -> str:
        """The one line that a user's mistake leaves, and nothing else."""
        assert self.status == 2 and not self.out, self
        assert self.err.count("\n") == 1 and "Traceback" not in self.err, self.err
        return self.err


@pytest.fixture
def verb(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Calls a verb's command line in this process."""

    def call(name: str, *args: object) -> Said:
        with pytest.raises(SystemExit) as stop:
            launch(name, [*map(str, args)])
        return Said(int(stop.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture
def shell() -> Callable[..., Said]:
    """Calls a verb in a process of its own."""

    def call(name: str, *args: object) -> Said:
        command = [sys.executable, "-m", f"pipelines.{name}", *map(str, args)]
        env = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
        return Said(done.returncode, done.stdout, done.stderr)

    return call
