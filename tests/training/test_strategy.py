"""A run over two devices, or over two processes, is the run of one."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import Config, Train, save_config
from vqmm.errors import UserError
from vqmm.models import build_model
from vqmm.training import teaching
from vqmm.training.loop import train
from vqmm.training.metrics_log import read_metrics
from vqmm.training.strategy import make_strategy

ROOT = Path(__file__).parents[2]
HALVES = ("CPU:0", "CPU:1")


def changed(config, **values):
    return config.model_copy(update={"train": config.train.model_copy(update=values)})


@pytest.fixture(scope="module")
def still(coarse_config):
    """Without what replicas draw apart; with clipping."""
    model = coarse_config.model.model_copy(update={"dropout": 0.0, "private_drop": 0.0})
    return changed(coarse_config.model_copy(update={"model": model}), clip_norm=0.1)


@pytest.fixture(scope="module")
def alone(still, tiny_data, tmp_path_factory):
    return train(still, tiny_data, tmp_path_factory.mktemp("runs") / "alone").folder


def assert_same_run(one: Path, other: Path, step: int = 12, beyond: int = 0):
    """Weights, codebook, moments of Adam, and what the log says.

    A latent between two codes may go to the other one: counts and sums of the two, `beyond`
    variables, then differ by what a token is worth.
    """
    sides = [
        tf.train.load_checkpoint(str(run / "checkpoints" / "last" / f"ckpt-{step}")) for run in (one, other)
    ]
    names = [name for name in sides[0].get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    assert len(names) > 50
    found = {name: [side.get_tensor(name) for side in sides] for name in names}
    far = [name for name, pair in found.items() if not np.allclose(*pair, rtol=1e-3, atol=2e-4)]
    assert len(far) <= beyond, far
    for name in far:
        np.testing.assert_allclose(*found[name], atol=0.05, err_msg=name)
    for a, b in zip(read_metrics(one / "metrics.jsonl"), read_metrics(other / "metrics.jsonl"), strict=True):
        for name in a.keys() - {"seconds", "steps_per_second"}:
            assert a[name] == b[name] or abs(a[name] - b[name]) < 2e-3 * max(1, abs(a[name])), name


def test_two_devices(still, tiny_data, alone, tmp_path, two_replicas):
    run = train(changed(still, strategy="mirrored", devices=HALVES), tiny_data, tmp_path / "run")
    assert two_replicas.num_replicas_in_sync == 2
    assert_same_run(alone, run.folder)


def launcher(config, data, run: Path) -> list[str]:
    """The start of a command that trains; the run folder is to follow."""
    save_config(config, run.with_suffix(".yaml"))
    command = [sys.executable, "-m", "pipelines.train", "--config", str(run.with_suffix(".yaml"))]
    return [*command, "--data", str(data.folder), "--run"]


def worker(config, data, run: Path, hosts: list[str], number: int) -> subprocess.Popen:
    """The launcher, as one of the hosts would call it."""
    told = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": number}}
    command = launcher(changed(config, strategy="multi_worker"), data, run)
    return subprocess.Popen(
        [*command, str(run if number == 0 else run / "nowhere")],
        env={**os.environ, "TF_CONFIG": json.dumps(told)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def workers(config, data, run: Path) -> list[subprocess.Popen]:
    """The launcher, twice, as two hosts would call it."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    hosts = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return [worker(config, data, run, hosts, number) for number in range(2)]


def wait_for_step(step: int, run: Path, chief: subprocess.Popen):
    until = time.monotonic() + 300
    while not (run / "checkpoints" / "last" / f"ckpt-{step}.index").exists():
        assert chief.poll() is None and time.monotonic() < until
        time.sleep(0.01)


def test_two_processes(still, tiny_data, alone, tmp_path):
    run = tmp_path / "run"
    ended = [(p.communicate(timeout=900), p.returncode) for p in workers(still, tiny_data, run)]
    assert [code for _, code in ended] == [0, 0], ended
    assert "worker 1 of 2: done at step 12" in ended[1][0][0]
    assert not (run / "nowhere").exists()  # the chief alone writes
    assert_same_run(alone, run)


def gan(config, steps):
    """A tiny VQGAN with all that a step may have, whose perceiver is taught."""
    tree = config.model_dump()
    tree["model"] |= {"kind": "vqgan", "discriminator": {"filters": (8, 8), "audio_scales": 1}}
    tree["loss"] |= {"features": "taught", "adversarial": {"feature_matching": 1.0}}
    tree["schedule"] |= {"adversarial_from": 6, "adversarial_ramp": 4}
    tree["train"] |= {"steps": steps, "validate_every": 10, "checkpoint_every": 10}
    return Config.model_validate(tree)


@pytest.mark.slow
def test_features_are_taught_over_two_devices_as_on_one(
    still, tiny_data, tmp_path, monkeypatch, two_replicas
):
    learned, whole = [], teaching.teach_turns

    def teach(net, pictures, steps, seed):
        learned.append(whole(net, pictures, steps=20, seed=seed))
        return learned[-1]

    config = changed(gan(still, 7), strategy="mirrored", devices=HALVES)
    monkeypatch.setattr(teaching, "teach_turns", teach)
    run = train(config, tiny_data, tmp_path / "run")
    fresh = build_model(config).perceiver
    for found, taught, before in zip(
        run.model.perceiver.variables, learned[0].net.variables, fresh.variables, strict=True
    ):
        np.testing.assert_array_equal(found, taught)
        assert np.abs(np.asarray(found) - np.asarray(before)).max() > 1e-3


def test_a_port_in_use_is_named_and_who_is_waited_for_is_told(still, tiny_data, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        hosts = [f"127.0.0.1:{taken.getsockname()[1]}", "127.0.0.1:1"]
        chief = worker(still, tiny_data, tmp_path / "run", hosts, 0)
        _, said = chief.communicate(timeout=300)
    assert chief.returncode == 2 and "Traceback" not in said, said
    assert f"worker 0 of 2 starts at {hosts[0]} and waits for {hosts[1]}" in said
    told = said.splitlines()[-1]
    assert told.startswith(f"train: worker 0 of 2 cannot start at {hosts[0]} (Could not start gRPC server)")
    assert not (tmp_path / "run").exists()


@pytest.mark.soak
def test_a_vqgan_over_two_processes(still, tiny_data, tmp_path):
    """Both optimizers, the discriminators, features taught, and what is averaged over the replicas."""
    config = gan(still, 20)
    run, whole = tmp_path / "run", tmp_path / "whole"
    ended = [(p.communicate(timeout=1800), p.returncode) for p in workers(config, tiny_data, run)]
    assert [code for _, code in ended] == [0, 0], ended
    # By the launcher too: what is learned in hundreds of steps tells how graphs were compiled.
    subprocess.run([*launcher(config, tiny_data, whole), str(whole)], cwd=ROOT, check=True, timeout=1800)
    assert_same_run(whole, run, step=20, beyond=2)
    figures = read_metrics(run / "metrics.jsonl")[-2]
    assert figures["split"] == "train" and figures["adversarial_weight_image"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("dies", [0, 1], ids=["chief", "other"])
def test_a_worker_that_dies_stops_the_others_and_the_run_goes_on(still, tiny_data, tmp_path, dies):
    run, longer = tmp_path / "run", changed(still, steps=400, validate_every=400, checkpoint_every=20)
    both = workers(longer, tiny_data, run)
    wait_for_step(40, run, both[0])
    both[dies].send_signal(signal.SIGKILL)
    both[dies].communicate(timeout=240)
    left = both[1 - dies]
    _, said = left.communicate(timeout=300)
    assert left.returncode == 2 and f"worker {1 - dies} of 2 lost another" in said, said
    ended = [(p.communicate(timeout=900), p.returncode) for p in workers(longer, tiny_data, run)]
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


@pytest.mark.parametrize(
    "train, told",
    [
        (
            Train(devices=("GPU:1",)),
            "train.devices=['GPU:1'] is for mirrored training; one takes the default",
        ),
        (Train(tpu="pod-1"), "train.tpu='pod-1' is for train.strategy=tpu, and this is one"),
        (
            Train(strategy="mirrored", devices=HALVES, batch_size=8, tpu="pod-1"),
            "train.tpu='pod-1' is for train.strategy=tpu, and this is mirrored",
        ),
    ],
)
def test_options_of_another_strategy_are_refused(train, told, two_replicas):
    with pytest.raises(UserError, match=re.escape(told)):
        make_strategy(train)


def test_models_trained_one_after_the_other_share_their_strategy(two_replicas):
    """Two strategies would give their collectives the same numbers, and the second model would stop."""
    assert make_strategy(Train(strategy="mirrored", devices=HALVES, batch_size=6)) is two_replicas


def test_a_tpu_is_resolved_connected_and_initialised_before_the_strategy(monkeypatch):
    calls = []

    def noted(name, found):
        return lambda *args, **kwargs: calls.append((name, *args, kwargs)) or found

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", noted("resolver", "there"))
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", noted("connect", None))
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", noted("initialize", None))
    cores = types.SimpleNamespace(num_replicas_in_sync=8)
    monkeypatch.setattr(tf.distribute, "TPUStrategy", noted("strategy", cores))
    train = Train(strategy="tpu", tpu="pod-1", batch_size=64)
    assert make_strategy(train) is make_strategy(train) is cores  # a TPU is initialised once
    assert calls == [
        ("resolver", {"tpu": "pod-1"}),
        ("connect", "there", {}),
        ("initialize", "there", {}),
        ("strategy", "there", {}),
    ]
    with pytest.raises(UserError, match="batch_size=60 does not divide among 8 devices"):
        make_strategy(train.model_copy(update={"batch_size": 60}))


def test_a_tpu_that_is_not_there_is_told(monkeypatch):
    def missing(tpu):
        raise ValueError("Please provide a TPU Name to connect to.")

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", missing)
    with pytest.raises(
        UserError, match=r"train.tpu='pod-2': no such TPU .*provide a TPU Name.*or another train"
    ):
        make_strategy(Train(strategy="tpu", tpu="pod-2"))


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
