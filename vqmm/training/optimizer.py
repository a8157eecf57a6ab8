"""The optimizer and its learning-rate schedule."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from vqmm.config import Config, Train
from vqmm.models import VQGAN, PairAutoencoder

NOT_DECAYED = ["bias", "gamma", "beta", "codebook"]  # names of variables that weight decay leaves alone
LAST_RATE = 1e-2  # learning rate at the last step, relative to the highest


def make_schedule(train: Train) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up over `warmup_steps`, then a cosine down to 1/100 at `steps`."""
    decay_steps = max(train.steps - train.warmup_steps, 1)
    if not train.warmup_steps:
        return keras.optimizers.schedules.CosineDecay(train.learning_rate, decay_steps, alpha=LAST_RATE)
    return keras.optimizers.schedules.CosineDecay(
        train.learning_rate / train.warmup_steps,  # not 0: the first step counts as well
        decay_steps,
        alpha=LAST_RATE,
        warmup_target=train.learning_rate,
        warmup_steps=train.warmup_steps,
    )


def make_optimizer(train: Train) -> keras.optimizers.Optimizer:
    """Adam on the schedule of `make_schedule`, with decoupled weight decay (AdamW) where asked.

    Gradients are clipped by their global norm, `clip_norm`, after they have been
    summed over replicas, so that a step is the same on one device and on many.
    Under float16 the loss is scaled.
    """
    optimizer = ReplicaClippedAdam(
        make_schedule(train), weight_decay=train.weight_decay or None, clip_norm=train.clip_norm
    )
    if train.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    if keras.config.dtype_policy().name == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def compile_model(model: PairAutoencoder, config: Config) -> list[keras.optimizers.Optimizer]:
    """Gives a model its optimizers, built for the variables that each moves.

    A VQGAN's discriminators get Adam with short memory (beta 0.5 and 0.9) at a rate of their
    own, which does not fall: it is the generator that has to settle.

    Returns:
        All optimizers of the model, the generator's first.
    """
    optimizer = make_optimizer(config.train)
    if not isinstance(model, VQGAN):
        model.compile(optimizer=optimizer)
        optimizer.build(model.trainable_variables)
        return [optimizer]
    critic: keras.optimizers.Optimizer = ReplicaClippedAdam(
        config.model.discriminator.learning_rate, clip_norm=config.train.clip_norm, beta_1=0.5, beta_2=0.9
    )
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        critic = keras.optimizers.LossScaleOptimizer(critic)
    model.compile(optimizer=optimizer, discriminator_optimizer=critic)
    optimizer.build(model.generator_variables)
    critic.build(model.discriminator_variables)
    return [optimizer, critic]


@keras.saving.register_keras_serializable("vqmm")
class ReplicaClippedAdam(keras.optimizers.Adam):
    """Adam that clips the gradient of the whole batch, not that of each replica.

    Keras applies `global_clipnorm` before it adds up the replicas' gradients, so
    with it the result would depend on how a batch is split.

    Args:
        learning_rate: number or schedule.
        weight_decay: None for plain Adam.
        clip_norm: largest global norm of the summed gradient.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        weight_decay: float | None = None,
        clip_norm: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.clip_norm = clip_norm

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[tuple[Any, Any]]:
        summed = super()._all_reduce_sum_gradients(grads_and_vars)
        clipped, _ = tf.clip_by_global_norm([gradient for gradient, _ in summed], self.clip_norm)
        return [(gradient, variable) for gradient, (_, variable) in zip(clipped, summed, strict=True)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "clip_norm": self.clip_norm}
