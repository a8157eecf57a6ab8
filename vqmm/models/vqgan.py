"""The joint-codebook VQGAN: a VQ-VAE whose decoders must also convince discriminators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from vqmm import losses
from vqmm.config import Loss
from vqmm.models.adversary import Adversary, Verdict, gradient_length, sight
from vqmm.models.autoencoder import whole
from vqmm.models.vqvae import VQVAE, Outputs
from vqmm.replicas import replica_count


@keras.saving.register_keras_serializable("vqmm")
class VQGAN(Adversary, VQVAE):
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

    WEIGHTS: ClassVar[Mapping[str, float]] = {
        **VQVAE.WEIGHTS,
        **Loss().model_dump(include={"perceptual", "multiresolution"}),
    }

    def __init__(
        self,
        *args: Any,
        discriminators: Mapping[str, Any],
        perceiver: Any = None,
        adversarial: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.perceiver = perceiver
        if perceiver is not None:
            if not perceiver.built:
                perceiver.build((None, *self.input_shapes["image"]))
            # One by one: the flag of a loaded layer does not reach the layers inside.
            for variable in perceiver.variables:
                variable.trainable = False
        self.discriminators = dict(discriminators)
        for name, discriminator in self.discriminators.items():
            if not discriminator.built:
                discriminator.build(self.features[name](keras.Input(self.input_shapes[name])).shape)
        self._start_adversary(adversarial)

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
        self.discriminator_optimizer.apply(self.held(whole(lessons, theirs)), theirs)
        self.after_step(batch, outputs)
        self.follow({name: sight(found, batch[f"{name}_mask"]) for name, found in verdicts.items()})
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

    def averaged_variables(self) -> list[Any]:
        # Only what rebuilds: codes stay those that the codebook's own averages follow.
        return [v for decoder in self.decoders.values() for v in decoder.trainable_variables]

    def _judge(self, name: str, out: Outputs, batch: Mapping[str, Any]) -> Verdict:
        return self.verdict(
            name,
            ops.cast(out.features, out.rebuilt.dtype),
            out.rebuilt,
            losses.item_weights(batch[f"{name}_mask"]),
        )

    def _pushed(
        self, tape: Any, name: str, leaf: Any, hidden: Any, pull: Any, verdict: Verdict, scale: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The gradient at the decoder's last layer, with the discriminator's push; and figures of it."""
        a = self.adversarial
        push = tape.gradient(verdict.generator, leaf, output_gradients=scale)
        near, adversarial = (
            gradient_length(self._at_last_kernel(name, hidden, x)) / scale for x in (pull, push)
        )
        weight = self.push_weight(name, near, adversarial)
        pull = pull + ops.cast(weight, push.dtype) * push
        figures = {
            f"adversarial_{name}": verdict.generator,
            f"adversarial_weight_{name}": self.logged(weight),
            f"discriminator_accuracy_{name}": ops.convert_to_tensor(self.judged[name]["accuracy"]),
            f"gradient_{name}": self.logged(near),
            f"adversarial_gradient_{name}": self.logged(adversarial),
        }
        if a["feature_matching"]:
            slope = tape.gradient(verdict.matching, leaf, output_gradients=scale)
            share = a["feature_matching"] * self.ramp(a["from_step"], a["ramp"]) * self._trusted(name)
            pull = pull + ops.cast(share, slope.dtype) * slope
            figures[f"feature_matching_{name}"] = verdict.matching
        return pull, figures

    def _at_last_kernel(self, name: str, hidden: Any, upstream: Any) -> Any:
        """Gradient of the decoder's last kernel for one at the decoder's last layer, both f32."""
        import tensorflow as tf

        last, (height, width, _) = self.decoders[name].last, self.decoders[name].output_size
        with tf.GradientTape() as tape:
            # Not by the layer itself: in half precision a sum over all cells of a batch runs over.
            hidden = ops.cast(ops.stop_gradient(hidden), "float32")
            parameters = ops.conv_transpose(hidden, last.kernel, last.strides, last.padding)
            parameters = parameters[:, :height, :width]
        return tape.gradient(parameters, last.kernel, output_gradients=upstream)
