"""Steps in float16 on two replicas, of which some overflow; as a script, those of one of two workers."""

from __future__ import annotations

import json
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vqmm.config import Train
from vqmm.training.optimizer import make_optimizer
from vqmm.training.strategy import make_strategy

GRADIENTS = np.random.default_rng(0).standard_normal((5, 2, 3)).astype("float32")  # step, replica
OVERFLOWN = np.array([[0, 0], [0, 1], [1, 0], [0, 0], [0, 0]], bool)
SCALES = 2.0**15 * np.array([1.0, 0.5, 0.25, 0.25, 0.25])  # after each step


def settings(accumulate: int) -> Train:
    return Train(accumulate=accumulate, clip_norm=0.5, warmup_steps=0, weight_decay=0.1)


def states(strategy: Any, accumulate: int) -> list[list[list[np.ndarray]]]:
    """After each step the scale, the weight and the inner optimizer's variables, each on this
    process's replicas."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with strategy.scope():
            variable = keras.Variable(np.ones(3, "float32"), name="kernel")
            optimizer = make_optimizer(settings(accumulate))
            optimizer.build([variable])
    finally:
        keras.config.set_dtype_policy(before)

    def one(number: Any) -> None:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        part = optimizer.scale_loss(0.5 * tf.constant(GRADIENTS)[number, replica])
        optimizer.apply([tf.where(tf.constant(OVERFLOWN)[number, replica], np.inf, part)], [variable])

    step = tf.function(lambda number: strategy.run(one, (number,)), autograph=False)
    seen = [optimizer.dynamic_scale, variable, *optimizer.inner_optimizer.variables]
    found = []
    for number in range(len(GRADIENTS)):
        step(tf.constant(number))
        copies = [strategy.experimental_local_results(v.value) for v in seen]
        found.append([[x.numpy() for x in parts] for parts in copies])
    return found


if __name__ == "__main__":
    told = states(make_strategy(Train(strategy="multi_worker")), int(sys.argv[1]))
    print(json.dumps([[[x.tolist() for x in parts] for parts in state] for state in told]))
