"""The side of a model that works against it: discriminators, their optimizer, when they are heeded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
from keras import ops

from vqmm import losses
from vqmm.config import Adversarial
from vqmm.losses import adversarial as gan
from vqmm.models.steps import ramp
from vqmm.networks import Judgement
from vqmm.replicas import replica_count, sum_over_replicas

ADVERSARIAL = {**Adversarial().model_dump(), "discriminator_from": 0, "from_step": 0, "ramp": 0}
SLOW = 0.98  # decay of the moving averages that the hold and LeCam read


class Verdict(NamedTuple):
    """Items before a discriminator.

    Attributes:
        real, fake: what it says of them.
        critic: its own loss, f32 scalar.
        generator: what the generator loses by it.
        matching: distance in its features.
    """

    real: Judgement
    fake: Judgement
    critic: Any
    generator: Any
    matching: Any


class Adversary:
    """What a `keras.Model` with discriminators has besides; comes before it among the bases.

    The model has `discriminators` by name, built, and a `step`; it calls `_start_adversary`
    when its own variables are there.

    Attributes:
        adversarial: settings, see `ADVERSARIAL`.
        judged: by discriminator, moving averages of its accuracy and logits.
        averages: moving averages of `averaged_variables`.
    """

    discriminators: dict[str, Any]
    step: Any
    add_weight: Any
    trainable_variables: Any
    compiled: bool
    optimizer: Any

    def _start_adversary(self, adversarial: Mapping[str, Any] | None) -> None:
        unknown = set(adversarial or {}) - set(ADVERSARIAL)
        if unknown:
            raise ValueError(f"adversarial has {sorted(unknown)}; legal: {', '.join(ADVERSARIAL)}")
        self.adversarial = {**ADVERSARIAL, **(adversarial or {})}
        self.judged = {
            name: {
                figure: self._number(f"{name}_{figure}", start)
                for figure, start in (("accuracy", 0.75), ("real", 0.0), ("fake", 0.0))
            }
            for name in self.discriminators
        }
        self.averages = [
            self.add_weight(
                name=f"average_{place}",
                shape=v.shape,
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
            for place, v in enumerate(self.averaged_variables() if self.adversarial["average"] else ())
        ]
        for average, variable in zip(self.averages, self.averaged_variables(), strict=False):
            average.assign(variable)

    def averaged_variables(self) -> list[Any]:
        """The generator's variables of which the finished model has the averages."""
        raise NotImplementedError

    def take_averages(self) -> None:
        """Puts the averages in place of the variables: at the end of training."""
        for average, variable in zip(self.averages, self.averaged_variables(), strict=False):
            variable.assign(average)

    @contextlib.contextmanager
    def averages_in_place(self) -> Iterator[None]:
        """While the block runs the model is what `take_averages` would make of it; then training goes on."""
        variables = self.averaged_variables() if self.averages else []
        kept = [ops.convert_to_numpy(variable) for variable in variables]
        self.take_averages()
        try:
            yield
        finally:
            for variable, value in zip(variables, kept, strict=True):
                variable.assign(value)

    @property
    def generator_variables(self) -> list[Any]:
        """Trainable variables of all but the discriminators."""
        theirs = {id(v) for v in self.discriminator_variables}
        return [v for v in self.trainable_variables if id(v) not in theirs]

    @property
    def discriminator_variables(self) -> list[Any]:
        """Trainable variables of the discriminators."""
        return [v for d in self.discriminators.values() for v in d.trainable_variables]

    def compile(self, optimizer: Any, discriminator_optimizer: Any = None, **kwargs: Any) -> None:
        """As Keras's, with an optimizer for each side.

        Args:
            optimizer: of the generator.
            discriminator_optimizer: of the discriminators; None copies the other's settings.
        """
        super().compile(optimizer=optimizer, **kwargs)  # type: ignore[misc]
        made = discriminator_optimizer or type(self.optimizer).from_config(self.optimizer.get_config())
        self.discriminator_optimizer = keras.optimizers.get(made)

    def get_compile_config(self) -> dict[str, Any] | None:
        if not self.compiled:
            return None
        pack = keras.saving.serialize_keras_object
        return {
            "optimizer": pack(self.optimizer),
            "discriminator_optimizer": pack(self.discriminator_optimizer),
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})
        self.optimizer.build(self.generator_variables)
        self.discriminator_optimizer.build(self.discriminator_variables)

    def verdict(self, name: str, real_items: Any, fake_items: Any, mask: Any) -> Verdict:
        """Shows items to a discriminator.

        Args:
            name: of the discriminator.
            real_items, fake_items: of one dtype.
            mask: bool[B], False where the item is missing, or `losses.item_weights` of it.
        """
        a, kind = self.adversarial, self.adversarial["kind"]
        judge = self.discriminators[name]
        # Apart: in one pass the generator's gradients would go back through the real items as well.
        real, fake = judge(real_items, training=True), judge(fake_items, training=True)
        critic = gan.discriminator_loss(real.logits, fake.logits, mask, kind)
        if a["lecam"]:
            means = self.judged[name]
            critic = critic + a["lecam"] * gan.lecam_loss(
                real.logits, fake.logits, mask, means["real"], means["fake"]
            )
        if a["r1"]:
            critic = critic + a["r1"] * self._r1(name, real_items, mask)
        matching = gan.feature_matching_loss(real.features, fake.features, mask)
        return Verdict(real, fake, critic, gan.generator_loss(fake.logits, mask, kind), matching)

    def push_weight(self, name: str, near: Any, adversarial: Any) -> Any:
        """Weight of a discriminator's push, f32 scalar.

        Args:
            name: of the discriminator.
            near, adversarial: lengths of the gradients of the other losses and of its own.
        """
        a = self.adversarial
        weight = gan.adaptive_weight(near, adversarial, a["most"]) if a["adaptive"] else ops.ones(())
        return weight * a["weight"] * ramp(self.step, a["from_step"], a["ramp"]) * self._trusted(name)

    def logged(self, figure: Any) -> Any:
        """What tells of a gradient; 0 where it ran over, for which a loss scale skips the step."""
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        return ops.nan_to_num(figure, nan=0.0, posinf=0.0, neginf=0.0) if scaled else figure

    def _trusted(self, name: str) -> Any:
        accuracy = ops.convert_to_tensor(self.judged[name]["accuracy"])
        return ops.cast(accuracy >= self.adversarial["hold_below"], "float32")

    def held(self, gradients: list[Any]) -> list[Any]:
        """Discriminators that are not yet to learn, or are too far ahead, get no gradient."""
        begun = ops.convert_to_tensor(self.step) >= self.adversarial["discriminator_from"]
        found, start = [], 0
        for name, discriminator in self.discriminators.items():
            stop = start + len(discriminator.trainable_variables)
            ahead = ops.convert_to_tensor(self.judged[name]["accuracy"]) > self.adversarial["hold_above"]
            goes = ops.logical_and(begun, ops.logical_not(ahead))
            found += [ops.cast(goes, g.dtype) * g for g in gradients[start:stop]]
            start = stop
        return found

    def follow(self, seen: Mapping[str, Mapping[str, Any]]) -> None:
        """After a step, takes what `sight` gives by discriminator into the moving averages."""
        for name, figures in seen.items():
            for figure, variable in self.judged[name].items():
                variable.assign(variable + (1.0 - SLOW) * (figures[figure] - figures["there"] * variable))
        decay = ops.minimum(self.adversarial["average"], _young(self.step))
        for average, variable in zip(self.averages, self.averaged_variables(), strict=False):
            average.assign(decay * average + (1.0 - decay) * variable)

    def _number(self, name: str, start: float) -> Any:
        made = keras.initializers.Constant(start)
        return self.add_weight(name=name, shape=(), initializer=made, trainable=False, aggregation="mean")

    def _r1(self, name: str, features: Any, mask: Any) -> Any:
        """Half the squared gradient of the logits at real items (Mescheder et al. 2018, equation 9)."""
        import tensorflow as tf

        features = ops.stop_gradient(features)
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = self.discriminators[name](features, training=True).logits
            total = sum(ops.sum(ops.mean(x, axis=(1, 2, 3))) for x in logits) / len(logits)
        slope = tape.gradient(total, features)
        return 0.5 * losses.masked_mean(
            ops.sum(ops.square(slope), axis=tuple(range(1, len(slope.shape)))), mask
        )


def sight(verdict: Verdict, mask: Any) -> dict[str, Any]:
    """`accuracy`, mean logits of `real` and `fake` items, and 0 for `there` where none is: f32 scalars."""
    real, fake = verdict.real.logits, verdict.fake.logits
    return {
        "accuracy": gan.discriminator_accuracy(real, fake, mask),
        "real": gan.mean_logit(real, mask),
        "fake": gan.mean_logit(fake, mask),
        "there": losses.masked_mean(ops.ones(ops.shape(mask)), mask),
    }


def gradient_length(gradient: Any, items: bool = False) -> Any:
    """Norm of a gradient over the batch of all replicas, of which each holds its own mean.

    Args:
        gradient: with respect to what all replicas have, or to a replica's own `items`.
        items: which of the two.
    """
    own = ops.cast(gradient, "float32") / replica_count()
    if items:
        (squares,) = sum_over_replicas([ops.sum(ops.square(own))])
        return ops.sqrt(squares)
    (summed,) = sum_over_replicas([own])
    return ops.sqrt(ops.sum(ops.square(summed)))


def _young(step: Any) -> Any:
    """Averages of few steps forget faster."""
    since = ops.cast(ops.convert_to_tensor(step), "float32")
    return (1.0 + since) / (10.0 + since)
