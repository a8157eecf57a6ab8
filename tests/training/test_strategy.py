"""A run over two devices, or over two processes, is the run of one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import Train, save_config
from vqmm.errors import UserError
from vqmm.training.loop import train
from vqmm.training.metrics_log import read_metrics
from vqmm.training.strategy import make_strategy

ROOT = Path(__file__).parents[2]
HALVES = ("CPU:0", "CPU:1")


def changed(config, **values):
    return config.model_copy(update={"train": config.train.model_copy(update=values)})


@pytest.fixture(scope="module")
def still(tiny_config):
    """Without what replicas draw apart; with clipping."""
    model = tiny_config.model.model_copy(update={"dropout": 0.0, "private_drop": 0.0})
    return changed(tiny_config.model_copy(update={"model": model}), clip_norm=0.1)


@pytest.fixture(scope="module")
def alone(still, tiny_data, tmp_path_factory):
    return train(still, tiny_data, tmp_path_factory.mktemp("runs") / "alone").folder


def assert_same_run(one: Path, other: Path, step: int = 12):
    """Weights, codebook, moments of Adam, and what the log says."""
    sides = [
        tf.train.load_checkpoint(str(run / "checkpoints" / "last" / f"ckpt-{step}")) for run in (one, other)
    ]
    names = [name for name in sides[0].get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    assert len(names) > 50
    for name in names:
        np.testing.assert_allclose(*(s.get_tensor(name) for s in sides), rtol=1e-3, atol=2e-4, err_msg=name)
    for a, b in zip(read_metrics(one / "metrics.jsonl"), read_metrics(other / "metrics.jsonl"), strict=True):
        for name in a.keys() - {"seconds", "steps_per_second"}:
            assert a[name] == b[name] or abs(a[name] - b[name]) < 2e-3 * max(1, abs(a[name])), name


def test_two_devices(still, tiny_data, alone, tmp_path, two_replicas):
    run = train(changed(still, strategy="mirrored", devices=HALVES), tiny_data, tmp_path / "run")
    assert two_replicas.num_replicas_in_sync == 2
    assert_same_run(alone, run.folder)


def workers(config, data, run: Path) -> list[subprocess.Popen]:
    """The launcher, twice, as two hosts would call it."""
    save_config(changed(config, strategy="multi_worker"), run.with_suffix(".yaml"))
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    hosts = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    command = [sys.executable, "-m", "pipelines.train", "--config", str(run.with_suffix(".yaml"))]
    return [
        subprocess.Popen(
            [*command, "--data", str(data.folder), "--run", str(run if number == 0 else run / "nowhere")],
            env={
                **os.environ,
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": number}}
                ),
            },
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]


def wait_for_step(step: int, run: Path, chief: subprocess.Popen):
    until = time.monotonic() + 300
    while not (run / "checkpoints" / "last" / f"ckpt-{step}.index").exists():
        assert chief.poll() is None and time.monotonic() < until
        time.sleep(0.01)


def test_two_processes(still, tiny_data, alone, tmp_path):
    run = tmp_path / "run"
    ended = [(p.communicate(timeout=300), p.returncode) for p in workers(still, tiny_data, run)]
    assert [code for _, code in ended] == [0, 0], ended
    assert "worker 1 of 2: done at step 12" in ended[1][0][0]
    assert not (run / "nowhere").exists()  # the chief alone writes
    assert_same_run(alone, run)


@pytest.mark.soak
def test_a_worker_that_dies_stops_the_others_and_the_run_goes_on(still, tiny_data, tmp_path):
    run, longer = tmp_path / "run", changed(still, steps=400, validate_every=400, checkpoint_every=20)
    chief, other = workers(longer, tiny_data, run)
    wait_for_step(40, run, chief)
    other.send_signal(signal.SIGKILL)
    other.communicate(timeout=60)
    _, said = chief.communicate(timeout=300)
    assert chief.returncode == 2 and "worker 0 of 2 lost another" in said, said
    ended = [(p.communicate(timeout=300), p.returncode) for p in workers(longer, tiny_data, run)]
    assert [code for _, code in ended] == [0, 0], ended
    assert "at step " in ended[0][0][1] and "continuing" in ended[0][0][1]
    whole = train(longer, tiny_data, tmp_path / "whole")
    assert [line["step"] for line in read_metrics(run / "metrics.jsonl")] == [
        line["step"] for line in read_metrics(whole.folder / "metrics.jsonl")
    ]


@pytest.mark.soak
def test_a_signal_to_one_worker_stops_all_at_the_same_step(still, tiny_data, tmp_path):
    run, longer = tmp_path / "run", changed(still, steps=5000, validate_every=5000, checkpoint_every=20)
    chief, other = workers(longer, tiny_data, run)
    wait_for_step(20, run, chief)
    other.send_signal(signal.SIGTERM)
    said = [p.communicate(timeout=300)[1] for p in (chief, other)]
    assert [p.returncode for p in (chief, other)] == [0, 0]
    steps = {text.split("by SIGTERM at step ")[1].split(";")[0] for text in said}
    assert len(steps) == 1 and (run / "checkpoints" / "last" / f"ckpt-{steps.pop()}.index").exists()


def test_one_is_the_default_strategy():
    assert make_strategy(Train()) is tf.distribute.get_strategy()


def test_models_trained_one_after_the_other_share_their_strategy(two_replicas):
    """Two strategies would give their collectives the same numbers, and the second model would stop."""
    assert make_strategy(Train(strategy="mirrored", devices=HALVES, batch_size=6)) is two_replicas


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"batch_size": 7}, "train.batch_size=7 does not divide among 2 devices; take 6 or 8"),
        ({"jit_compile": True}, "train.jit_compile=true works on one device only"),
        ({"devices": ("CPU:0", "GPU:9")}, "train.devices: GPU:9 not found; this machine has CPU:0, CPU:1"),
        (
            {"devices": ("CPU:0", "CPU:1", "CPU:2")},
            "make the strategy before anything else uses TensorFlow",
        ),
    ],
)
def test_devices_that_do_not_fit_are_refused(wrong, told, two_replicas):
    tf.zeros(1)  # a processor in use cannot be split any more
    with pytest.raises(UserError, match=told):
        make_strategy(Train(**{"strategy": "mirrored", "devices": HALVES, **wrong}))
