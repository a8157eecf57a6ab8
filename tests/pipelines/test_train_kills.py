"""A run that is killed again and again, anywhere in its life, ends as one that was left alone."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import Config, save_config
from vqmm.training.run_folder import open_run

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("SOAK_KILLS", "20"))
STEPS_BETWEEN = 60


def newest(run: Path) -> int:
    """Step of the newest complete checkpoint; 0 where there is none."""
    found = [int(p.stem.rpartition("-")[2]) for p in (run / "checkpoints" / "last").glob("ckpt-*.index")]
    return max(found, default=0)


@pytest.mark.soak
def test_random_kills_change_nothing(tiny_config, tiny_data, tmp_path):
    """Every other kill comes at a random moment, the others once training has gone on: it gets to the end."""
    steps = STEPS_BETWEEN * (KILLS + 1)
    spec = {"steps": steps, "checkpoint_every": 4, "validate_every": 20, "accumulate": 3, "model": "last"}
    tree = tiny_config.model_dump()
    config = Config.model_validate(tree | {"train": tree["train"] | spec})
    save_config(config, tmp_path / "tiny.yaml")
    draw = random.Random(KILLS)

    def started(run: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipelines.train", "--config", str(tmp_path / "tiny.yaml")]
        command += ["--data", str(tiny_data.folder), "--run", str(run)]
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    run, until_first, before, young = tmp_path / "killed", 0.0, 0, 0
    for number in range(KILLS):
        process, began = started(run), time.monotonic()
        until = draw.uniform(0.0, 1.2 * until_first) if number % 2 else 600.0
        wanted = max(newest(run) + 1, STEPS_BETWEEN * number)  # never so late that the run could end
        while newest(run) < wanted and time.monotonic() - began < until:
            assert process.poll() is None, process.communicate()
            if newest(run) == before:
                until_first = time.monotonic() - began
            time.sleep(0.002)
        time.sleep(draw.uniform(0.0, 0.05))
        young += newest(run) == before
        process.kill()
        process.communicate()
        assert process.returncode == -9
        assert newest(run) >= before  # nothing is lost beyond the last checkpoint
        before = newest(run)
    print(f"{KILLS} kills, {young} of them before a life's first checkpoint, the last at step {before}")
    whole = tmp_path / "whole"
    for folder in (run, whole):
        process = started(folder)
        _, said = process.communicate(timeout=1800)
        assert process.returncode == 0, said
    sides = [
        tf.train.load_checkpoint(str(f / "checkpoints" / "last" / f"ckpt-{steps}")) for f in (run, whole)
    ]
    names = [n for n in sides[0].get_variable_to_shape_map() if n.endswith("VARIABLE_VALUE")]
    assert len(names) > 50
    for name in names:
        np.testing.assert_array_equal(*(side.get_tensor(name) for side in sides), err_msg=name)
    for ours, theirs in zip(open_run(run).model.weights, open_run(whole).model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=ours.path)
