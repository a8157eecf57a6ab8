"""The joint-codebook VQGAN: a VQ-VAE whose decoders must also convince discriminators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import keras
from keras import ops

from vqmm import losses
from vqmm.losses import adversarial as gan
from vqmm.models.autoencoder import whole
from vqmm.models.vqvae import VQVAE, Outputs
from vqmm.networks import Judgement
from vqmm.replicas import replica_count, sum_over_replicas

ADVERSARIAL = {
    "kind": "hinge",
    "weight": 0.8,
    "adaptive": True,
    "most": 1e4,
    "feature_matching": 0.0,
    "lecam": 0.0,
    "r1": 0.0,
    "discriminator_from": 0,
    "from_step": 0,
    "ramp": 0,
    "hold_above": 0.95,
    "hold_below": 0.5,
    "average": 0.999,
}
SLOW = 0.98  # decay of the moving averages that the hold and LeCam read


class _Verdict(NamedTuple):
    """A modality before its discriminator: `real` and `fake`, and what follows for both sides."""

    real: Judgement
    fake: Judgement
    critic: Any
    generator: Any
    matching: Any


@keras.saving.register_keras_serializable("vqmm")
class VQGAN(VQVAE):
    """VQGAN (Esser et al. 2021) over recordings and pictures.

    To the losses of `VQVAE` it adds a perceptual distance for pictures, L1 over several
    resolutions for log-mel spectrograms, and a discriminator for each modality. A step
    moves the generator against the discriminators as they are, and the discriminators
    against what the generator has just rebuilt; both from one pass through each network.

    The adversarial gradient is scaled to that of the reconstruction at each decoder's last
    kernel (`adaptive`), over the batch of all replicas. It comes in at `from_step`, after the
    discriminators have learned alone since `discriminator_from`, and grows over `ramp` steps.
    When a discriminator's accuracy, as a moving average, is above `hold_above`, it waits for
    the generator; when it is below `hold_below`, what it says is not acted on.

    Args:
        discriminators: by modality; a modality without one gets no adversarial loss.
        perceiver: layer from pictures to feature maps, None for no perceptual loss.
        adversarial: settings, see `ADVERSARIAL`: `kind` of loss, `weight`, `adaptive` with
            at `most` so much, weights of `feature_matching`, `lecam` and `r1`, the three
            steps of the schedule, the two holds, and the decay `average` of the decoders'
            averaged weights (0 for none).
        others: as in `VQVAE`, with the weights `perceptual` and `multiresolution` besides.
    """

    WEIGHTS: ClassVar[Mapping[str, float]] = {**VQVAE.WEIGHTS, "perceptual": 1.0, "multiresolution": 1.0}

    def __init__(
        self,
        *args: Any,
        discriminators: Mapping[str, Any],
        perceiver: Any = None,
        adversarial: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        unknown = set(adversarial or {}) - set(ADVERSARIAL)
        if unknown:
            raise ValueError(f"adversarial has {sorted(unknown)}; legal: {', '.join(ADVERSARIAL)}")
        self.adversarial = {**ADVERSARIAL, **(adversarial or {})}
        self.discriminators = dict(discriminators)
        self.perceiver = perceiver
        if perceiver is not None:
            if not perceiver.built:
                perceiver.build((None, *self.input_shapes["image"]))
            # One by one: the flag of a loaded layer does not reach the layers inside.
            for variable in perceiver.variables:
                variable.trainable = False
        for name, discriminator in self.discriminators.items():
            if not discriminator.built:
                discriminator.build(self.features[name](keras.Input(self.input_shapes[name])).shape)
        self.judged = {
            name: {
                figure: self._number(f"{name}_{figure}", start)
                for figure, start in (("accuracy", 0.75), ("real", 0.0), ("fake", 0.0))
            }
            for name in self.discriminators
        }
        # Only what rebuilds: codes stay those that the codebook's own averages follow.
        self.averages = [
            self.add_weight(
                name=f"average_{place}",
                shape=v.shape,
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
            for place, v in enumerate(self._rebuilding() if self.adversarial["average"] else ())
        ]
        for average, variable in zip(self.averages, self._rebuilding(), strict=False):
            average.assign(variable)

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
        super().compile(optimizer=optimizer, **kwargs)
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

    def take_averages(self) -> None:
        """Puts the averaged weights into the decoders: at the end of training."""
        for average, variable in zip(self.averages, self._rebuilding(), strict=False):
            variable.assign(average)

    def reconstruction_terms(self, name: str, out: Any, mask: Any) -> dict[str, Any]:
        terms = super().reconstruction_terms(name, out, mask)
        w = self.weights_of_losses
        if name == "image" and self.perceiver is not None and w["perceptual"]:
            real, fake = self.perceiver(out.features), self.perceiver(out.rebuilt)
            terms["perceptual_image"] = w["perceptual"] * losses.perceptual_loss(real, fake, mask)
        if name == "audio" and w["multiresolution"]:
            value = losses.multiresolution_loss(out.features, out.rebuilt, mask)
            terms["multiresolution_audio"] = w["multiresolution"] * value
        return terms

    def train_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        mine, theirs = self.generator_variables, self.discriminator_variables
        with tf.GradientTape() as tape:
            outputs = self(batch, training=True)
            apart = self.latent_terms(batch, outputs)
            rest = sum(apart.values())
            last = [out.decoded.parameters for out in outputs.values()]
        # All that depends on what is rebuilt starts anew from the decoders' last layers: gradients
        # are needed there first, and a tape would walk on from them to the encoders every time.
        leaves = [ops.stop_gradient(x) for x in last]
        near: dict[str, dict[str, Any]] = {}
        with tf.GradientTape(persistent=True) as close:
            close.watch(leaves)
            verdicts = {}
            for (name, out), leaf in zip(outputs.items(), leaves, strict=True):
                decoded = out.decoded._replace(parameters=leaf)
                seen = out._replace(decoded=decoded, rebuilt=self.decoders[name].value(leaf))
                near[name] = self.reconstruction_terms(name, seen, batch[f"{name}_mask"])
                if name in self.discriminators:
                    verdicts[name] = self._judge(name, seen, batch)
            totals = {name: sum(terms.values()) for name, terms in near.items() if terms}
            critic = sum(verdict.critic for verdict in verdicts.values())
        share = 1.0 / replica_count()  # optimizers add gradients over replicas
        scale = self.optimizer.scale_loss(ops.ones(()))
        figures: dict[str, Any] = {}
        upstream = []
        for (name, out), leaf in zip(outputs.items(), leaves, strict=True):
            pull = ops.zeros_like(leaf)
            if name in totals:
                pull = close.gradient(totals[name], leaf, output_gradients=scale)
            if name in verdicts:
                pull, found = self._pushed(close, name, leaf, out.decoded.hidden, pull, verdicts[name], scale)
                figures.update(found)
            upstream.append(share * pull)
        scale_theirs = self.discriminator_optimizer.scale_loss(ops.ones(()))
        lessons = close.gradient(critic, theirs, output_gradients=share * scale_theirs)
        del close
        gradients = tape.gradient([rest, *last], mine, output_gradients=[share * scale, *upstream])
        self.optimizer.apply(whole(gradients, mine), mine)
        self.discriminator_optimizer.apply(self._held(whole(lessons, theirs)), theirs)
        self.after_step(batch, outputs)
        self._follow(batch, verdicts)
        self.step.assign_add(1)
        terms = {key: value for found in near.values() for key, value in found.items()} | apart
        return {
            "loss": sum(terms.values()),
            **terms,
            "discriminator": critic,
            **figures,
            **self.figures(batch, outputs),
        }

    def get_config(self) -> dict[str, Any]:
        pack = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "discriminators": {name: pack(layer) for name, layer in self.discriminators.items()},
            "perceiver": None if self.perceiver is None else pack(self.perceiver),
            "adversarial": self.adversarial,
        }

    def _number(self, name: str, start: float) -> Any:
        made = keras.initializers.Constant(start)
        return self.add_weight(name=name, shape=(), initializer=made, trainable=False, aggregation="mean")

    def _rebuilding(self) -> list[Any]:
        return [v for decoder in self.decoders.values() for v in decoder.trainable_variables]

    def _judge(self, name: str, out: Outputs, batch: Mapping[str, Any]) -> _Verdict:
        a, mask, kind = self.adversarial, batch[f"{name}_mask"], self.adversarial["kind"]
        count = ops.shape(mask)[0]
        features = ops.cast(out.features, out.rebuilt.dtype)
        judge = self.discriminators[name]
        if judge.norm == "batch":
            real, fake = judge(features, training=True), judge(out.rebuilt, training=True)
        else:  # one pass: no item depends on the others
            both = judge(ops.concatenate([features, out.rebuilt], axis=0))
            real = Judgement(*([x[:count] for x in part] for part in both))
            fake = Judgement(*([x[count:] for x in part] for part in both))
        critic = gan.discriminator_loss(real.logits, fake.logits, mask, kind)
        if a["lecam"]:
            means = self.judged[name]
            critic = critic + a["lecam"] * gan.lecam_loss(
                real.logits, fake.logits, mask, means["real"], means["fake"]
            )
        if a["r1"]:
            critic = critic + a["r1"] * self._r1(name, features, mask)
        matching = gan.feature_matching_loss(real.features, fake.features, mask)
        return _Verdict(real, fake, critic, gan.generator_loss(fake.logits, mask, kind), matching)

    def _r1(self, name: str, features: Any, mask: Any) -> Any:
        """Half the squared gradient of the logits at real items (Mescheder et al. 2018, equation 9)."""
        import tensorflow as tf

        features = ops.stop_gradient(features)
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = self.discriminators[name](features).logits
            total = sum(ops.sum(ops.mean(x, axis=(1, 2, 3))) for x in logits) / len(logits)
        slope = tape.gradient(total, features)
        return 0.5 * losses.masked_mean(ops.sum(ops.square(slope), axis=(1, 2, 3)), mask)

    def _pushed(
        self, tape: Any, name: str, leaf: Any, hidden: Any, pull: Any, verdict: _Verdict, scale: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The gradient at the decoder's last layer, with the discriminator's push; and figures of it."""
        a = self.adversarial
        push = tape.gradient(verdict.generator, leaf, output_gradients=scale)
        near, adversarial = (_length(self._at_last_kernel(name, hidden, x)) / scale for x in (pull, push))
        weight = gan.adaptive_weight(near, adversarial, a["most"]) if a["adaptive"] else ops.ones(())
        weight = weight * a["weight"] * self.ramp(a["from_step"], a["ramp"]) * self._trusted(name)
        pull = pull + ops.cast(weight, push.dtype) * push
        if a["feature_matching"]:
            slope = tape.gradient(verdict.matching, leaf, output_gradients=scale)
            pull = (
                pull
                + ops.cast(a["feature_matching"] * self.ramp(a["from_step"], a["ramp"]), slope.dtype) * slope
            )
        return pull, {
            f"adversarial_{name}": verdict.generator,
            f"adversarial_weight_{name}": weight,
            f"discriminator_accuracy_{name}": ops.convert_to_tensor(self.judged[name]["accuracy"]),
            f"gradient_{name}": near,
            f"adversarial_gradient_{name}": adversarial,
        }

    def _at_last_kernel(self, name: str, hidden: Any, upstream: Any) -> Any:
        """Gradient of the decoder's last kernel for one at the decoder's last layer."""
        import tensorflow as tf

        decoder = self.decoders[name]
        with tf.GradientTape() as tape:
            parameters = decoder.read_out(ops.stop_gradient(hidden))
        return tape.gradient(parameters, decoder.last.kernel, output_gradients=upstream)

    def _trusted(self, name: str) -> Any:
        accuracy = ops.convert_to_tensor(self.judged[name]["accuracy"])
        return ops.cast(accuracy >= self.adversarial["hold_below"], "float32")

    def _held(self, gradients: list[Any]) -> list[Any]:
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

    def _follow(self, batch: Mapping[str, Any], verdicts: Mapping[str, _Verdict]) -> None:
        for name, verdict in verdicts.items():
            mask = batch[f"{name}_mask"]
            real, fake = verdict.real.logits, verdict.fake.logits
            seen = {
                "accuracy": gan.discriminator_accuracy(real, fake, mask),
                "real": gan.mean_logit(real, mask),
                "fake": gan.mean_logit(fake, mask),
            }
            for figure, variable in self.judged[name].items():
                variable.assign(SLOW * variable + (1.0 - SLOW) * seen[figure])
        decay = ops.minimum(self.adversarial["average"], _young(self.step))
        for average, variable in zip(self.averages, self._rebuilding(), strict=False):
            average.assign(decay * average + (1.0 - decay) * variable)


def _length(gradient: Any) -> Any:
    """Norm of a gradient over the batch of all replicas, of which each holds its own mean."""
    (summed,) = sum_over_replicas([ops.cast(gradient, "float32") / replica_count()])
    return ops.sqrt(ops.sum(ops.square(summed)))


def _young(step: Any) -> Any:
    """Averages of few steps forget faster."""
    since = ops.cast(ops.convert_to_tensor(step), "float32")
    return (1.0 + since) / (10.0 + since)
