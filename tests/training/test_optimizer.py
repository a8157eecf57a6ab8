import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from overflowing import GRADIENTS, OVERFLOWN, SCALES, settings, states

from vqmm.config import Config, Train
from vqmm.models import build_model
from vqmm.training.optimizer import ReplicaLossScale, compile_model, make_optimizer, make_schedule


@pytest.mark.parametrize("warmup", [0, 10])
def test_schedule_is_a_ramp_and_then_a_cosine(warmup):
    schedule = make_schedule(Train(steps=110, warmup_steps=warmup, learning_rate=0.5))
    for step in (0, 1, 5, 9, 10, 60, 109, 110, 500):
        if step < warmup:
            wanted = 0.05 + (0.5 - 0.05) * step / warmup
        else:
            share = min((step - warmup) / (110 - warmup), 1.0)
            wanted = 0.5 * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * share)))
        assert float(schedule(step)) == pytest.approx(wanted, rel=1e-5)


def test_more_warm_up_than_steps_only_ramps():
    schedule = make_schedule(Train(steps=5, warmup_steps=10, learning_rate=1.0))
    assert float(schedule(5)) == pytest.approx(0.55)


def test_steps_are_those_of_adam_on_the_clipped_gradient():
    train = Train(steps=50, warmup_steps=0, learning_rate=0.1, clip_norm=0.5, weight_decay=0.2)
    variables = [
        keras.Variable(np.ones(3, "float32"), name="kernel"),
        keras.Variable(np.ones(2, "float32"), name="bias"),
    ]
    optimizer = make_optimizer(train)
    optimizer.build(variables)
    rng = np.random.default_rng(0)
    weights = [np.ones(3), np.ones(2)]
    m, v = [np.zeros(3), np.zeros(2)], [np.zeros(3), np.zeros(2)]
    for t in range(1, 5):
        gradients = [rng.standard_normal(3), rng.standard_normal(2)]
        optimizer.apply([g.astype("float32") for g in gradients], variables)
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        rate = 0.1 * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * (t - 1) / 50)))
        for i, g in enumerate(gradients):
            g = g * min(1.0, 0.5 / norm)
            m[i], v[i] = 0.9 * m[i] + 0.1 * g, 0.999 * v[i] + 0.001 * g**2
            decayed = weights[i] * (1 - (0.2 * rate if i == 0 else 0.0))  # biases do not decay
            weights[i] = decayed - rate * (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-7)
    for ours, theirs in zip(variables, weights, strict=True):
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-4)


def test_survives_its_config():
    optimizer = make_optimizer(Train(weight_decay=0.1, clip_norm=3.0))
    again = type(optimizer).from_config(optimizer.get_config())
    assert (again.clip_norm, again.weight_decay) == (3.0, 0.1)


@pytest.fixture
def half_precision():
    """Layers and optimizers are made for float16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def assert_skipped_where_one_overflows(found, accumulate):
    """`found` as `overflowing.states` gives it: the moves are those of one device without the bad steps."""
    variable = keras.Variable(np.ones(3, "float32"), name="kernel")
    optimizer = make_optimizer(settings(accumulate))
    optimizer.build([variable])
    for state, scale, overflown, gradients in zip(found, SCALES, OVERFLOWN, GRADIENTS, strict=True):
        if not overflown.any():
            optimizer.apply([gradients.mean(axis=0)], [variable])
        for copies, wanted in zip(state, [scale, variable, *optimizer.variables], strict=True):
            for copy in copies:
                np.testing.assert_allclose(copy, wanted, rtol=1e-5, atol=1e-7)
    assert (np.asarray(variable) != 1.0).all()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_overflow_on_any_replica_skips_the_step_on_all(accumulate, two_replicas):
    found = states(two_replicas, accumulate)
    assert len(found[0][1]) == 2
    assert_skipped_where_one_overflows(found, accumulate)


def test_an_overflow_in_any_process_skips_the_step_in_all():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    hosts = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    tasks = [{"cluster": {"worker": hosts}, "task": {"type": "worker", "index": place}} for place in range(2)]
    begun = [
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("overflowing.py"), "1"],
            env={**os.environ, "TF_CONFIG": json.dumps(task)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for task in tasks
    ]
    for out, err in [process.communicate(timeout=300) for process in begun]:
        assert out, err
        assert_skipped_where_one_overflows(json.loads(out), accumulate=1)


def test_both_sides_of_a_vqgan_get_the_loss_scale_of_all_replicas(tiny_config, half_precision):
    tree = tiny_config.model_dump()
    tree["model"] |= {"kind": "vqgan", "discriminator": {"filters": (8, 8), "audio_scales": 1}}
    config = Config.model_validate(tree)
    for optimizer in compile_model(build_model(config), config):
        assert isinstance(optimizer, ReplicaLossScale) and optimizer.inner_optimizer.summed
        again = keras.optimizers.get(keras.saving.serialize_keras_object(optimizer))
        assert isinstance(again, ReplicaLossScale) and again.inner_optimizer.summed
        assert again.inner_optimizer.clip_norm == config.train.clip_norm
