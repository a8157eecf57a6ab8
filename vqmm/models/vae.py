"""The traditional variational autoencoder, to compare discrete codes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import keras
from keras import ops

from vqmm import losses
from vqmm.config import Loss, Model
from vqmm.models.autoencoder import MODALITIES, PairAutoencoder, items_of
from vqmm.networks import Decoded, Latents
from vqmm.replicas import gather_over_replicas

MOST_LOG_VARIANCE = 10.0  # either way: beyond, exp runs over


class Gaussian(NamedTuple):
    """A diagonal posterior.

    Attributes:
        mean, log_variance: f32[B, T, D].
    """

    mean: Any
    log_variance: Any


class Posterior(NamedTuple):
    """What the encoder of a VAE says of the items of one modality.

    Attributes:
        shared: over the latents that a pair is trained to agree on.
        private: over those of the grid; None where there are none.
    """

    shared: Gaussian
    private: Gaussian | None


class VAEOutputs(NamedTuple):
    """One modality of a batch on its way through the model.

    Attributes:
        features: f32[B, H, W, C], what is rebuilt.
        posterior: of the latents.
        decoded: from the decoder.
        rebuilt: f32[B, H, W, C], the values that it stands for.
    """

    features: Any
    posterior: Posterior
    decoded: Decoded
    rebuilt: Any


@keras.saving.register_keras_serializable("vqmm")
class VAE(PairAutoencoder):
    """Variational autoencoder (Kingma and Welling 2014) over recordings and pictures.

    The networks are those of `VQVAE`; where it chooses codes, this draws from Gaussian
    posteriors whose mean and log variance the encoders give side by side, so they are made
    with twice the decoders' `dim`. The loss is reconstruction + kl * KL / elements: with an
    error of scale s (0.05, say) the bound on the log-likelihood is -loss / s, up to a
    constant, at `kl` = s. The term grows over the first `kl_ramp` steps (Bowman et al. 2016).
    A pair's shared means meet by the contrastive loss.

    Args:
        features, encoders, decoders, input_shapes, seed: as in `PairAutoencoder`.
        weights: `reconstruction`, `likelihood`, `contrastive`, `temperature`, `kl`, `free_bits`.
        kl_ramp: steps.
        private_drop: how often an item must be rebuilt from its shared latents alone.
    """

    WEIGHTS: ClassVar[Mapping[str, float]] = Loss().model_dump(
        include={"reconstruction", "likelihood", "contrastive", "temperature", "kl", "free_bits"}
    )

    def __init__(
        self,
        features: Mapping[str, Any],
        encoders: Mapping[str, Any],
        decoders: Mapping[str, Any],
        input_shapes: Mapping[str, Sequence[int]],
        weights: Mapping[str, float] | None = None,
        kl_ramp: int = 0,
        private_drop: float = Model().private_drop,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(features, encoders, decoders, input_shapes, weights, seed, **kwargs)
        self.kl_ramp = kl_ramp
        self.private_drop = private_drop
        for name in self.input_shapes:
            if self.encoders[name].dim != 2 * self.decoders[name].dim:
                raise ValueError(
                    f"the {name} encoder has dim={self.encoders[name].dim} and its decoder "
                    f"dim={self.decoders[name].dim}; a VAE's encoder needs twice the decoder's"
                )

    def encode(self, audio: Any = None, image: Any = None) -> Posterior:
        """Posteriors of recordings f32[B, samples] or of pictures f32[B, H, W, C]: give one."""
        return _posterior(self._latents(audio, image)[1])

    def embed(self, audio: Any = None, image: Any = None) -> Any:
        """Means of the shared latents, f32[B, T, D], each of unit length."""
        return ops.normalize(self.encode(audio, image).shared.mean, axis=-1)

    def reconstruct(self, items: Any, modality: str, to: str | None = None, private: bool = True) -> Any:
        found = self.encode(**{modality: items})
        own = found.private if private and to in (None, modality) else None
        return self.decode(found.shared.mean, own and own.mean, to or modality)

    def decode(self, shared: Any, private: Any, modality: str) -> Any:
        """Rebuilds `"image"` f32[B, H, W, C] in 0..1 or `"audio"` log-mel f32[B, frames, mels, 1].

        Args:
            shared: f32[B, T, D], of either modality.
            private: f32[B, P, D] of this modality, or None.
            modality: to rebuild.
        """
        self._check(modality)
        decoder = self.decoders[modality]
        return decoder.value(decoder(shared, private, training=False).parameters)

    def sample(self, count: int, modality: str, seed: Any = None, shared: Any = None) -> Any:
        """Items drawn from the prior N(0, 1), as `decode` gives them.

        Args:
            count: of items.
            modality: to draw.
            seed: int or a `keras.random.SeedGenerator`; None draws from the model's own.
            shared: f32[count, T, D], latents that are given, as those of the other modality.
        """
        self._check(modality)
        draws = keras.random.SeedGenerator(seed) if isinstance(seed, int) else seed or self.random
        encoder, dim = self.encoders[modality], self.decoders[modality].dim
        tokens = encoder.slots if encoder.layout == "slots" else _cells(encoder)
        if shared is None:
            shared = keras.random.normal((count, tokens, dim), seed=draws)
        private = None
        if encoder.private:
            private = keras.random.normal((count, _cells(encoder), dim), seed=draws)
        return self.decode(shared, private, modality)

    def call(self, batch: Mapping[str, Any], training: bool | None = None) -> dict[str, VAEOutputs]:
        return {name: self._pass(name, batch, training) for name in self.input_shapes}

    def latent_terms(self, batch: Mapping[str, Any], outputs: Mapping[str, VAEOutputs]) -> dict[str, Any]:
        w = self.weights_of_losses
        terms: dict[str, Any] = {}
        for name, out in outputs.items():
            mask = batch[f"{name}_mask"]
            nats = sum(
                losses.kl_loss(part.mean, part.log_variance, mask, w["free_bits"])
                for part in out.posterior
                if part is not None
            )
            elements = out.features.shape[1] * out.features.shape[2] * out.features.shape[3]
            terms[f"kl_{name}"] = w["kl"] * self.ramp(0, self.kl_ramp) * nats / elements
        if w["contrastive"] and set(outputs) == set(MODALITIES):
            terms["contrastive"] = w["contrastive"] * self._contrastive(batch, outputs)
        return terms

    def figures(self, batch: Mapping[str, Any], outputs: Mapping[str, VAEOutputs]) -> dict[str, Any]:
        """`kl_nats_MODALITY`: nats that an item's latents carry."""
        return {
            f"kl_nats_{name}": sum(
                losses.kl_loss(part.mean, part.log_variance, batch[f"{name}_mask"])
                for part in out.posterior
                if part is not None
            )
            for name, out in outputs.items()
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kl_ramp": self.kl_ramp, "private_drop": self.private_drop}

    def _pass(self, name: str, batch: Mapping[str, Any], training: bool | None) -> VAEOutputs:
        features = self.features[name](batch[name])
        posterior = _posterior(self.encoders[name](features, training=training))
        draw = self._draw if training else (lambda part: part.mean)
        private = None if posterior.private is None else draw(posterior.private)
        keep = None
        if training and private is not None and self.private_drop > 0:
            chance = keras.random.uniform((ops.shape(features)[0],), seed=self.random)
            keep = chance >= self.private_drop
        decoder = self.decoders[name]
        decoded = decoder(draw(posterior.shared), private, keep, training=training)
        return VAEOutputs(features, posterior, decoded, decoder.value(decoded.parameters))

    def _draw(self, part: Gaussian) -> Any:
        noise = keras.random.normal(ops.shape(part.mean), seed=self.random)
        return part.mean + ops.exp(0.5 * part.log_variance) * noise

    def _contrastive(self, batch: Mapping[str, Any], outputs: Mapping[str, VAEOutputs]) -> Any:
        means = [gather_over_replicas(outputs[name].posterior.shared.mean) for name in MODALITIES]
        if means[0].shape[1] != means[1].shape[1]:
            means = [ops.mean(x, axis=1, keepdims=True) for x in means]
        audio, image = (ops.normalize(x, axis=-1) for x in means)
        paired = ops.logical_and(batch["audio_mask"], batch["image_mask"])
        paired = ops.cast(gather_over_replicas(ops.cast(paired, "int32")), "bool")
        return losses.contrastive_loss(
            audio, image, paired, self.weights_of_losses["temperature"], items_of(batch)
        )


def _posterior(latents: Latents) -> Posterior:
    private = None if latents.private is None else _gaussian(latents.private)
    return Posterior(_gaussian(latents.shared), private)


def _gaussian(latents: Any) -> Gaussian:
    mean, log_variance = ops.split(ops.cast(latents, "float32"), 2, axis=-1)
    return Gaussian(mean, ops.clip(log_variance, -MOST_LOG_VARIANCE, MOST_LOG_VARIANCE))


def _cells(encoder: Any) -> int:
    return int(encoder.grid_shape[0] * encoder.grid_shape[1])
