"""The train command as people call it: in processes of its own, with the demo's config."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import load_config
from vqmm.data.prepare import prepare
from vqmm.data.sources.digits import write_digits
from vqmm.lock import hold
from vqmm.training.metrics_log import read_metrics
from vqmm.training.run_folder import open_run

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "digits.yaml"
STEPS = 45
SMALL = [
    f"train.steps={STEPS}",
    "train.batch_size=16",
    "train.warmup_steps=4",
    "train.checkpoint_every=5",
    "train.validate_every=15",
    "train.tensorboard=false",
    "schedule.quantize_from=8",
    "schedule.kmeans_batches=2",
    "model.filters=[4,8]",
    "model.quantizer.dim=8",
    "model.quantizer.image=8",
    "model.quantizer.audio=8",
    "model.quantizer.fine=4",
    "evaluate.batch_size=32",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    manifest = write_digits(folder / "source", seed=0, limit=60)
    prepare(manifest, load_config(CONFIG), folder / "data", workers=1, progress=False)
    return folder / "data"


def arguments(data: Path, run: Path, *more: str) -> list[str]:
    return ["--config", str(CONFIG), "--data", str(data), "--run", str(run), "--set", *SMALL, *more]


def command(data: Path, run: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.train", *arguments(data, run, *more)]


def called(*args, **kwargs) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*args), capture_output=True, text=True, cwd=ROOT, timeout=300, **kwargs)


def stopped(data: Path, run: Path, at_step: int, number: signal.Signals) -> tuple[int, str]:
    """Starts training and sends a signal once the checkpoint of a step is written; code and what was said.

    At step 0: once the run folder is made, before there is a model.
    """
    process = subprocess.Popen(command(data, run), stderr=subprocess.PIPE, text=True, cwd=ROOT)
    state = run / "checkpoints" / "last" / "checkpoint" if at_step else run / "config.yaml"
    until = time.monotonic() + 300
    while not (state.exists() and (not at_step or f"ckpt-{at_step}" in state.read_text())):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    return process.returncode, said


def variables(run: Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(run / "checkpoints" / "last"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.endswith(".ATTRIBUTES/VARIABLE_VALUE")
    }


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    return run, called(data, run, "--json")


def test_says_what_came_of_it(undisturbed):
    run, done = undisturbed
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["run"] == str(run) and told["figures"]["retrieval_map"] > 0
    assert f"step {STEPS}/{STEPS}" in done.stderr
    assert open_run(run).step == told["step"]


@pytest.mark.slow
def test_a_run_that_is_killed_and_preempted_ends_in_the_same_bits(data, undisturbed, tmp_path):
    run = tmp_path / "disturbed"
    code, said = stopped(data, run, 0, signal.SIGTERM)
    assert code == 0 and "train: stopped by SIGTERM; the same command continues" in said, said
    assert not (run / "checkpoints").exists()
    assert stopped(data, run, 10, signal.SIGKILL)[0] == -signal.SIGKILL
    code, said = stopped(data, run, 15, signal.SIGTERM)
    assert code == 0 and "stopped by SIGTERM at step" in said, said
    saved = int(said.partition("by SIGTERM at step ")[2].partition(";")[0])
    done = called(data, run)
    assert done.returncode == 0, done.stderr
    resumed = int(done.stderr.partition("at step ")[2].split()[0])
    assert 10 <= resumed == saved < STEPS

    wanted, found = variables(undisturbed[0]), variables(run)
    assert len(wanted) > 200 and wanted.keys() == found.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    for ours, theirs in zip(open_run(run).model.weights, open_run(undisturbed[0]).model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=ours.path)

    def history(folder):
        lines = read_metrics(folder / "metrics.jsonl")
        timing = ("seconds", "steps_per_second")
        return [
            {k: v for k, v in line.items() if k not in timing}
            for line in lines
            if line["split"] == "validation"
        ]

    assert history(run) == history(undisturbed[0])
    steps = [line["step"] for line in read_metrics(run / "metrics.jsonl") if line["split"] == "train"]
    assert steps == [20, 40, 45]


def test_a_full_disk_is_one_line_and_the_earlier_checkpoint_stays(data, undisturbed, tmp_path):
    run = tmp_path / "full"
    shutil.copytree(undisturbed[0], run)
    largest = max(p.stat().st_size for p in (run / "checkpoints" / "last").iterdir())

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, largest // 2))

    done = called(data, run, f"train.steps={STEPS + 5}", preexec_fn=small_files)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    told = done.stderr.strip().splitlines()[-1]
    assert (
        told.startswith("train: cannot write a checkpoint") and "File too large" in told and "intact" in told
    )
    before = variables(undisturbed[0])
    assert all((value == before[name]).all() for name, value in variables(run).items())
    assert open_run(run).step <= STEPS


def test_a_run_folder_in_use_is_refused(verb, data, tmp_path):
    run = tmp_path / "busy"
    run.mkdir()
    with hold(run / "lock"):
        done = verb("train", *arguments(data, run))
    assert done.status == 2
    told = done.err.strip().splitlines()[-1]
    assert told.startswith("train:") and f"in use by process {os.getpid()}" in told


@pytest.mark.parametrize(
    "override, said",
    [
        ("train.stepz=5", "did you mean 'steps'"),
        ("train.steps=many", "train.steps='many'"),
        ("data.audio.sample_rate=16000", "data.audio.sample_rate=8000, the config says 16000"),
    ],
)
def test_mistakes_are_told_in_one_line(verb, data, tmp_path, override, said):
    assert said in verb("train", *arguments(data, tmp_path / "run", override)).refusal()
    assert not (tmp_path / "run").exists()


def test_data_that_is_not_there(verb, tmp_path):
    assert (
        "holds no dataset.json" in verb("train", *arguments(tmp_path / "nothing", tmp_path / "run")).refusal()
    )
