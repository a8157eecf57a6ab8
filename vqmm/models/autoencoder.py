"""What all models of recordings and pictures have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from vqmm import losses
from vqmm.models.dtype_policy import dtype_policy
from vqmm.models.steps import add_step, ramp
from vqmm.networks import Latents
from vqmm.networks.replica_random import ReplicaSeedGenerator
from vqmm.replicas import gather_over_replicas, replica_count
from vqmm.value_ranges import check_values

MODALITIES = ("audio", "image")


class PairAutoencoder(keras.Model):
    """An encoder and a decoder for each modality, and one loss over both.

    A subclass says what becomes of the latents in `call`, what they cost in
    `latent_terms`, what is worth a curve in `figures`, and what else changes with a
    step in `after_step`.

    Args:
        features: by modality, a layer from the input to what is encoded and rebuilt
            (log-mel for audio, identity for pictures).
        encoders, decoders: by modality.
        input_shapes: by modality, without the batch axis.
        weights: of the losses and their settings; keys as in `WEIGHTS`.
        seed: of the model's draws.

    A batch is a dict with `audio` f32[B, samples], `image` f32[B, H, W, C] in 0..1,
    `audio_mask` and `image_mask` bool[B]; and where pairs are of items, `item` i64[B]: rows of one
    item are no negatives of each other.
    """

    WEIGHTS: ClassVar[Mapping[str, float]] = {}

    def __init__(
        self,
        features: Mapping[str, Any],
        encoders: Mapping[str, Any],
        decoders: Mapping[str, Any],
        input_shapes: Mapping[str, Sequence[int]],
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        unknown = set(weights or {}) - set(self.WEIGHTS)
        if unknown:
            raise ValueError(f"weights has {sorted(unknown)}; legal: {', '.join(self.WEIGHTS)}")
        self.features = dict(features)
        self.encoders = dict(encoders)
        self.decoders = dict(decoders)
        self.input_shapes = {name: tuple(shape) for name, shape in input_shapes.items()}
        self.weights_of_losses = {**self.WEIGHTS, **(weights or {})}
        self.seed = seed
        self.random = ReplicaSeedGenerator(seed)
        self.step = add_step(self)
        for name, shape in self.input_shapes.items():
            item = keras.Input(shape)
            if not self.encoders[name].built:
                self.encoders[name].build((None, *self.features[name](item).shape[1:]))
        self.built = True

    def log_mel(self, audio: Any) -> Any:
        """Log-mel f32[B, frames, mels, 1] of recordings f32[B, samples]."""
        return self.features["audio"](audio)

    def embed(self, audio: Any = None, image: Any = None) -> Any:
        """Continuous shared latents f32[B, T, E], each of unit length: give one of the two."""
        raise NotImplementedError

    def reconstruct(self, items: Any, modality: str, to: str | None = None, private: bool = True) -> Any:
        """What the model makes of items of a modality.

        Args:
            items: f32[B, samples] or f32[B, H, W, C].
            modality: of the items.
            to: modality to rebuild; None is their own. The other one has the shared latents
                alone to go by.
            private: whether private latents are used too, where there are any.

        Returns:
            Pictures f32[B, H, W, C] in 0..1 or log-mel f32[B, frames, mels, 1].
        """
        raise NotImplementedError

    def compute_losses(self, batch: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """All loss terms, weighted, as f32 scalars by name; the loss is their sum."""
        terms = {}
        for name, out in outputs.items():
            terms.update(self.reconstruction_terms(name, out, batch[f"{name}_mask"]))
        return {**terms, **self.latent_terms(batch, outputs)}

    def latent_terms(self, batch: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """The terms that do not depend on what is rebuilt."""
        raise NotImplementedError

    def reconstruction_terms(self, name: str, out: Any, mask: Any) -> dict[str, Any]:
        """Error of the values; where the decoder gives a distribution, its cross-entropy in its place.

        Args:
            name: modality.
            out: with `features`, `decoded` and `rebuilt`.
            mask: bool[B].
        """
        w, output = self.weights_of_losses, self.decoders[name].output_kind
        if output != "value" and w["likelihood"]:
            nats = losses.likelihood_loss(out.features, out.decoded.parameters, mask, output)
            return {f"likelihood_{name}": w["likelihood"] * nats}
        if output != "value" or not w["reconstruction"]:
            return {}
        error = losses.reconstruction_loss(out.features, out.rebuilt, mask)
        return {f"reconstruction_{name}": w["reconstruction"] * error}

    def figures(self, batch: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What else is logged, f32 scalars by name."""
        return {}

    def after_step(self, batch: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """What changes with a step besides the weights that the optimizer moves."""

    def train_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            outputs = self(batch, training=True)
            terms = self.compute_losses(batch, outputs)
            loss = sum(terms.values())
            # The optimizer adds gradients over replicas; the loss is a mean over them.
            scaled = self.optimizer.scale_loss(loss / replica_count())
        variables = self.trainable_variables
        self.optimizer.apply(whole(tape.gradient(scaled, variables), variables), variables)
        self.after_step(batch, outputs)
        self.step.assign_add(1)
        return {"loss": loss, **terms, **self.figures(batch, outputs)}

    def test_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        outputs = self(batch, training=False)
        terms = self.compute_losses(batch, outputs)
        return {"loss": sum(terms.values()), **terms, **self.figures(batch, outputs)}

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype_policy.name,
            **{part: _packed(getattr(self, part)) for part in ("features", "encoders", "decoders")},
            "input_shapes": {k: list(v) for k, v in self.input_shapes.items()},
            "weights": self.weights_of_losses,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        with dtype_policy(config.get("dtype")):
            return cls(**{key: _unpacked(value) for key, value in config.items()})

    def ramp(self, start: int, length: int) -> Any:
        """Share of its weight that a term has which comes in at step `start`, over `length` steps."""
        return ramp(self.step, start, length)

    def _check(self, modality: str) -> None:
        if modality not in self.input_shapes:
            raise ValueError(f"modality={modality!r}; this model has {', '.join(self.input_shapes)}")

    def _latents(self, audio: Any, image: Any) -> tuple[str, Latents]:
        given = {name: x for name, x in (("audio", audio), ("image", image)) if x is not None}
        if len(given) != 1:
            raise ValueError(f"give exactly one of audio= and image=; received {sorted(given) or 'none'}")
        ((modality, item),) = given.items()
        self._check(modality)
        expected = self.input_shapes[modality]
        if tuple(item.shape[1:]) != expected:
            shape = tuple(item.shape)
            raise ValueError(f"{modality} of shape {shape}; this model takes (batch, *{expected})")
        if hasattr(item, "numpy") or isinstance(item, np.ndarray):  # in a graph there are no values yet
            check_values(modality, item)
        return modality, self.encoders[modality](self.features[modality](item), training=False)


def items_of(batch: Mapping[str, Any]) -> Any:
    """The item of each row of the batch of all replicas, i64[B]; None where rows have none."""
    return gather_over_replicas(batch["item"]) if "item" in batch else None


def whole(gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
    """A variable that no active term reaches has no gradient: zero."""
    return [ops.zeros_like(v) if g is None else g for g, v in zip(gradients, variables, strict=True)]


def _packed(layers: Mapping[str, Any]) -> dict[str, Any]:
    return {k: keras.saving.serialize_keras_object(v) for k, v in layers.items()}


def _unpacked(value: Any) -> Any:
    """Layers out of their serialised form, alone or by name; all else as it is."""
    if not isinstance(value, Mapping):
        return value
    if "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return {key: _unpacked(part) for key, part in value.items()}
