"""The optimizer and its learning-rate schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vqmm.config import Config, Train
from vqmm.models import VQVAE, Adversary

NOT_DECAYED = ["bias", "gamma", "beta", "codebook"]  # names of variables that weight decay leaves alone
LAST_RATE = 1e-2  # learning rate at the last step, relative to the highest


def make_schedule(train: Train) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up over `warmup_steps`, then a cosine down to 1/100 at `steps`.

    Where steps were added to a finished run of `continued_from`, `continuation` says what the rate does
    in them: it stays at 1/100, or it rises and falls over them once more, or all is one cosine.
    """
    start = train.continued_from
    if not start or train.continuation == "cosine":
        return _warmup_and_cosine(train, train.steps)
    if train.continuation == "constant":
        return _warmup_and_cosine(train, start)  # beyond its end, a cosine decay keeps its last rate
    return DelayedSchedule(_warmup_and_cosine(train, train.steps - start), start)


def _warmup_and_cosine(train: Train, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    decay_steps = max(steps - train.warmup_steps, 1)
    if not train.warmup_steps:
        return keras.optimizers.schedules.CosineDecay(train.learning_rate, decay_steps, alpha=LAST_RATE)
    return keras.optimizers.schedules.CosineDecay(
        train.learning_rate / train.warmup_steps,  # not 0: the first step counts as well
        decay_steps,
        alpha=LAST_RATE,
        warmup_target=train.learning_rate,
        warmup_steps=train.warmup_steps,
    )


@keras.saving.register_keras_serializable("vqmm")
class DelayedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule that begins at a later step than 0; before, it stands at its start.

    Args:
        schedule: that is delayed.
        start: the step that is its step 0.
    """

    def __init__(self, schedule: Any, start: int):
        self.schedule = schedule
        self.start = start

    def __call__(self, step: Any) -> Any:
        return self.schedule(keras.ops.maximum(keras.ops.cast(step, "int64") - self.start, 0))

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "start": self.start}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DelayedSchedule:
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["start"])


def make_optimizer(train: Train) -> keras.optimizers.Optimizer:
    """Adam on the schedule of `make_schedule`, with decoupled weight decay (AdamW) where asked.

    Gradients are clipped by their global norm, `clip_norm`, after they have been
    summed over replicas, so that a step is the same on one device and on many, and
    averaged over `accumulate` steps. Under float16 the loss is scaled.
    """
    optimizer = ReplicaClippedAdam(
        make_schedule(train),
        weight_decay=train.weight_decay or None,
        clip_norm=train.clip_norm,
        gradient_accumulation_steps=_window(train),
    )
    if train.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    if keras.config.dtype_policy().name == "mixed_float16":
        return ReplicaLossScale(optimizer)
    return optimizer


def compile_model(model: Any, config: Config) -> list[keras.optimizers.Optimizer]:
    """Gives a model its optimizers, built for the variables that each moves.

    Discriminators get Adam with short memory (beta 0.5 and 0.9) at a rate of their
    own, which does not fall: it is the generator that has to settle.

    Returns:
        All optimizers of the model, the generator's first.
    """
    optimizer = make_optimizer(config.train)
    if not isinstance(model, Adversary) or not model.discriminators:
        model.compile(optimizer=optimizer)
        optimizer.build(model.trainable_variables)
        _allow_restart(optimizer, model)
        return [optimizer]
    critic: keras.optimizers.Optimizer = ReplicaClippedAdam(
        config.model.discriminator.learning_rate,
        clip_norm=config.train.clip_norm,
        beta_1=0.5,
        beta_2=0.9,
        gradient_accumulation_steps=_window(config.train),
    )
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        critic = ReplicaLossScale(critic)
    model.compile(optimizer=optimizer, discriminator_optimizer=critic)
    optimizer.build(model.generator_variables)
    _allow_restart(optimizer, model)
    critic.build(model.discriminator_variables)
    return [optimizer, critic]


def restart_moved_rows(model: Any, before: Sequence[npt.NDArray[Any]]) -> None:
    """Begins anew for codes that were placed elsewhere, or that have had no gradient yet.

    Args:
        model: compiled by `compile_model`; one with another optimizer is left as it is.
        before: the quantizer's trainable variables before its codes were placed.
    """
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(optimizer, ReplicaClippedAdam):
        return
    for variable, old in zip(model.quantizer.trainable_variables, before, strict=True):
        moved = (np.asarray(variable) != old).reshape(len(old), -1).any(axis=1)
        optimizer.restart(variable, moved | optimizer.never_moved(variable))


def _allow_restart(optimizer: keras.optimizers.Optimizer, model: Any) -> None:
    """Codes get their places, and their first gradients, long after the other weights."""
    found = getattr(optimizer, "inner_optimizer", optimizer)
    if isinstance(model, VQVAE):
        found.allow_restart(model.quantizer.trainable_variables)


def _window(train: Train) -> int | None:
    return train.accumulate if train.accumulate > 1 else None


@keras.saving.register_keras_serializable("vqmm")
class ReplicaClippedAdam(keras.optimizers.Adam):
    """Adam that clips the gradient of the whole batch, not that of each replica.

    Keras applies `global_clipnorm` before it adds up the replicas' gradients, so
    with it the result would depend on how a batch is split.

    With `gradient_accumulation_steps` N the weights move at every Nth call of `apply`, by the
    mean gradient of the last N. Where the loss is a mean over items (reconstruction,
    perceptual, commitment, KL, a discriminator's), that is the gradient of one batch of all
    their items. It is not where items of a batch meet: `contrastive`, `swapped` and
    `agreement` compare an item with those of its own batch alone, the discriminator's
    adaptive weight is a ratio of a batch's gradients, and batch normalisation takes each
    batch's moments. The codebook's moving averages follow every batch. Schedules count calls.

    Rows of a variable may begin anew, see `restart`.

    What has been summed is the same on all replicas and among the optimizer's variables, so that
    a checkpoint may fall between two moves.

    Args:
        learning_rate: number or schedule.
        weight_decay: None for plain Adam.
        clip_norm: largest global norm of the summed gradient.
        restartable: places, among the variables that it is built for, of those whose rows may begin
            anew; `allow_restart` adds to them.

    Attributes:
        summed: whether `apply` gets gradients summed over replicas; set by `ReplicaLossScale`.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clip_norm: float = Train().clip_norm,
        restartable: Sequence[int] = (),
        **kwargs: Any,
    ):
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.clip_norm = clip_norm
        self.restartable = tuple(restartable)
        self.summed = False
        self._begun: dict[int, keras.Variable] = {}

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        for place in self.restartable:
            self._count_steps_of_rows(place, variables[place])

    def allow_restart(self, variables: Sequence[Any]) -> None:
        """Makes `restart` possible for variables that the optimizer was built for."""
        for variable in variables:
            place = self._get_variable_index(variable)
            self.restartable += (place,)
            self._count_steps_of_rows(place, variable)

    def _count_steps_of_rows(self, place: int, variable: Any) -> None:
        shape = (variable.shape[0], *([1] * (len(variable.shape) - 1)))
        self._begun[place] = self.add_variable(shape, dtype="float32", name=f"begun_{len(self._begun)}")

    def restart(self, variable: Any, rows: npt.NDArray[np.bool_]) -> None:
        """Forgets the gradients of some rows: their next step is as long as a first one.

        Averages that have followed zeros, or other rows, are not those of the rows' gradients. Adam
        corrects its averages by the number of steps, so that after many steps of zeros the next ones
        would be up to five times as long as the learning rate. Rows count their steps from here.

        Args:
            variable: one that `allow_restart` was called with.
            rows: bool[first axis of the variable].

        Raises:
            ValueError: `allow_restart` was not called with the variable.
        """
        index = self._get_variable_index(variable)
        if index not in self._begun:
            raise ValueError(f"{variable.path} cannot begin anew: call allow_restart with it, after build")
        begun = self._begun[index]
        keep = ~np.reshape(rows, begun.shape)
        held = self._accumulated_gradients[index : index + 1] if self.gradient_accumulation_steps else []
        for slot in (self._momentums[index], self._velocities[index], *held):
            slot.assign(np.where(keep, np.asarray(slot), 0.0))
        begun.assign(np.where(keep, np.asarray(begun), float(np.asarray(self.iterations))))

    def never_moved(self, variable: Any) -> npt.NDArray[np.bool_]:
        """Finds the rows of a variable that have had no gradient but zero: bool[first axis]."""
        velocity = np.asarray(self._velocities[self._get_variable_index(variable)])
        return np.asarray(~velocity.reshape(len(velocity), -1).any(axis=1))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        if index not in self._begun:
            super().update_step(gradient, variable, learning_rate)
            return
        m, v = self._momentums[index], self._velocities[index]
        gradient = tf.cast(gradient, variable.dtype)
        steps = tf.cast(self.iterations + 1, "float32") - tf.convert_to_tensor(self._begun[index])
        rate = tf.cast(learning_rate, "float32") * tf.sqrt(1 - self.beta_2**steps) / (1 - self.beta_1**steps)
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (tf.square(gradient) - v) * (1 - self.beta_2))
        self.assign_sub(variable, m * tf.cast(rate, variable.dtype) / (tf.sqrt(v) + self.epsilon))

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[tuple[Any, Any]]:
        pairs = self._sums(grads_and_vars)
        return list(zip(self._clipped([g for g, _ in pairs]), [v for _, v in pairs], strict=True))

    def _sums(self, grads_and_vars: Any) -> list[tuple[Any, Any]]:
        return list(grads_and_vars) if self.summed else super()._all_reduce_sum_gradients(grads_and_vars)

    def _backend_apply_gradients(self, grads: Any, trainable_variables: Any) -> None:
        """Keras's own has sums over replicas inside a condition, which strategies refuse."""
        window = self.gradient_accumulation_steps
        if not window:
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        variables = [v.value for v in trainable_variables]
        pairs = self._sums(zip(grads, variables, strict=True))
        held = [self._accumulated_gradients[self._get_variable_index(v)].value for v in trainable_variables]
        totals = [gradient + before for (gradient, _), before in zip(pairs, held, strict=True)]
        moves = tf.equal((self._iterations.value + 1) % window, 0)
        tf.__internal__.distribute.interim.maybe_merge_call(
            self._move_or_wait,
            self._distribution_strategy,
            variables,
            self._clipped([total / window for total in totals]),
            held,
            totals,
            moves,
            self.learning_rate,
        )

    def _move_or_wait(
        self,
        strategy: Any,
        variables: Any,
        gradients: Any,
        held: Any,
        totals: Any,
        moves: Any,
        rate: Any,
    ) -> None:
        decayed = [bool(self.weight_decay) and self._use_weight_decay(v) for v in variables]

        def step(variable: Any, gradient: Any, moves: Any, rate: Any, decay: bool) -> None:
            def move() -> Any:
                if decay:
                    variable.assign_sub(variable * tf.cast(self.weight_decay * rate, variable.dtype))
                self.update_step(gradient, variable, rate)
                return tf.constant(0)

            tf.cond(moves, move, lambda: tf.constant(0))

        def keep(variable: Any, total: Any, moves: Any) -> None:
            variable.assign(tf.where(moves, tf.zeros_like(total), total))

        for variable, gradient, decay in zip(variables, gradients, decayed, strict=True):
            strategy.extended.update(variable, step, args=(gradient, moves, rate, decay), group=False)
        for variable, total in zip(held, totals, strict=True):
            strategy.extended.update(variable, keep, args=(total, moves), group=False)

    def _clipped(self, gradients: Any) -> list[Any]:
        clipped, _ = tf.clip_by_global_norm(gradients, self.clip_norm)
        return clipped

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "clip_norm": self.clip_norm,
            "restartable": list(self.restartable),
        }


@keras.saving.register_keras_serializable("vqmm")
class ReplicaLossScale(keras.optimizers.LossScaleOptimizer):
    """Loss scale for float16 whose steps are taken, or skipped, by all replicas together.

    Keras asks the first replica alone whether its gradients are finite. Here they are summed
    over replicas before they are looked at, so that an overflow on one is seen by all; and since
    nothing is summed any more within the condition on it, no replica waits for one that skips.

    Args:
        inner_optimizer: takes the steps.
        kwargs: as of `keras.optimizers.LossScaleOptimizer`.
    """

    def __init__(self, inner_optimizer: ReplicaClippedAdam, **kwargs: Any):
        super().__init__(inner_optimizer, **kwargs)
        inner_optimizer.summed = True

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        variables = trainable_variables or self._trainable_variables
        pairs = self._all_reduce_sum_gradients(zip(grads, variables, strict=True))
        super().apply([gradient for gradient, _ in pairs], trainable_variables)
