"""Gradients averaged over several steps: the move of one large batch, on any devices, through a restart."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import Config, Train
from vqmm.data.batches import training_batches
from vqmm.models import build_model
from vqmm.training.checkpoints import Checkpoints
from vqmm.training.optimizer import compile_model, make_optimizer

PLAIN = {"audio", "image", "audio_mask", "image_mask"}


def gan(config: Config, accumulate: int, *, items_apart: bool) -> Config:
    """A tiny VQGAN; with `items_apart` no loss compares items of a batch."""
    tree = config.model_dump()
    tree["model"] |= {
        "kind": "vqgan",
        "dropout": 0.0,
        "private_drop": 0.0,
        "discriminator": {"filters": (8, 8), "audio_scales": 1},
    }
    tree["loss"] |= {"features": "random", "adversarial": {"feature_matching": 1.0}}
    tree["schedule"] |= {"adversarial_from": 0, "adversarial_ramp": 0, "quantize_from": 0}
    if items_apart:
        tree["model"]["quantizer"] |= {"update": "gradient", "shared_update": "gradient", "revive_below": 0.0}
        tree["loss"] |= {"contrastive": 0.0, "swapped": 0.0}
        tree["loss"]["adversarial"] |= {"adaptive": False, "average": 0.0}
    tree["train"] |= {"accumulate": accumulate, "clip_norm": 1e3, "weight_decay": 0.1}
    tree["train"] |= {"learning_rate": 0.01, "warmup_steps": 0, "steps": 100_000}  # as good as constant
    return Config.model_validate(tree)


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_the_move_is_that_of_the_mean_gradient(weight_decay):
    """Clipping, decay, moments and schedule, replayed in NumPy."""
    train = Train(steps=60, warmup_steps=0, learning_rate=0.1, clip_norm=0.5, accumulate=3)
    variable = keras.Variable(np.ones(4, "float32"), name="kernel")
    optimizer = make_optimizer(train.model_copy(update={"weight_decay": weight_decay}))
    optimizer.build([variable])
    gradients = np.random.default_rng(0).standard_normal((7, 4)).astype("float32")
    weight, m, v = np.ones(4), np.zeros(4), np.zeros(4)
    for step, gradient in enumerate(gradients):
        optimizer.apply([gradient], [variable])
        if step % 3 == 2:
            t, g = step // 3 + 1, gradients[step - 2 : step + 1].mean(axis=0)
            g = g * min(1.0, 0.5 / np.linalg.norm(g))
            rate = 0.1 * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * step / 60)))  # schedules count steps
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            weight = weight * (1 - weight_decay * rate)
            weight = weight - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
        np.testing.assert_allclose(np.asarray(variable), weight, rtol=1e-4)
    assert int(optimizer.iterations) == 2


def test_two_devices_and_xla_move_alike(two_replicas):
    gradients = np.random.default_rng(0).standard_normal((5, 2, 3)).astype("float32")  # step, replica

    def moved(strategy, jit_compile=False):
        with strategy.scope():
            variable = keras.Variable(np.ones(3, "float32"))
            optimizer = make_optimizer(Train(accumulate=2, clip_norm=0.5, weight_decay=0.1, warmup_steps=0))
            optimizer.build([variable])
        many = strategy.num_replicas_in_sync > 1

        def one(step):
            part = tf.constant(gradients)[step]
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            optimizer.apply([0.5 * part[replica] if many else tf.reduce_mean(part, axis=0)], [variable])

        step = tf.function(lambda number: strategy.run(one, (number,)), jit_compile=jit_compile)
        for number in range(len(gradients)):
            step(tf.constant(number))
        return [np.asarray(x) for x in (variable, *optimizer.variables)]

    wanted = moved(tf.distribute.get_strategy())
    assert (wanted[0] != 1.0).all()
    for other in (moved(two_replicas), moved(tf.distribute.get_strategy(), jit_compile=True)):
        for ours, theirs in zip(other, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_parts_of_a_batch_give_both_sides_of_a_vqgan_the_gradient_of_the_whole(tiny_config, tiny_data):
    def moments(accumulate):
        config = gan(tiny_config, accumulate, items_apart=True)
        model = build_model(config)
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False  # else it takes the moments of each part
        optimizers = compile_model(model, config)
        (batch,) = training_batches(tiny_data, config).take(1)
        for part in range(accumulate):
            mine = slice(part * 8 // accumulate, (part + 1) * 8 // accumulate)
            model.train_step({name: batch[name][mine] for name in PLAIN})
        return [[np.asarray(m) for m in optimizer._momentums] for optimizer in optimizers]

    for whole, parts in zip(moments(1), moments(2), strict=True):
        length = np.sqrt(sum((m**2).sum() for m in whole))
        assert length > 0.1 * 0.01  # a tenth of the gradient, which is not clipped
        for ours, theirs in zip(parts, whole, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4 * length)


def test_a_run_taken_up_between_two_moves_ends_the_same(tiny_config, tiny_data, tmp_path):
    config = gan(tiny_config, 2, items_apart=False)
    model = build_model(config)
    optimizers = compile_model(model, config)
    checkpoints = Checkpoints(tmp_path / "last", tmp_path / "best", model, optimizers, keep=1)
    batches = [{name: batch[name] for name in PLAIN} for batch in training_batches(tiny_data, config).take(3)]

    def state():
        everything = [*model.variables, *(v for optimizer in optimizers for v in optimizer.variables)]
        return [np.asarray(v) for v in everything]

    for batch in batches[:1]:
        model.train_step(batch)
    checkpoints.save()
    held = state()
    for batch in batches[1:]:
        model.train_step(batch)
    wanted = state()
    assert np.mean([(a != b).any() for a, b in zip(held, wanted, strict=True)]) > 0.5
    assert checkpoints.restore() == 1
    for ours, theirs in zip(state(), held, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for batch in batches[1:]:
        model.train_step(batch)
    for ours, theirs in zip(state(), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
