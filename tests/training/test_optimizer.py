import keras
import numpy as np
import pytest

from vqmm.config import Train
from vqmm.training.optimizer import make_optimizer, make_schedule


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
