"""The joint-codebook VQ-VAE: recordings and pictures through one quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
from keras import ops

from vqmm import losses
from vqmm.config import Loss, Model
from vqmm.errors import UserError
from vqmm.models.autoencoder import MODALITIES, PairAutoencoder, items_of
from vqmm.models.codes import Codes
from vqmm.networks import Decoded, Latents
from vqmm.quantizers import Assignment, FineCodes, Quantized
from vqmm.replicas import gather_over_replicas

WEIGHTS = Loss().model_dump(
    include={
        "reconstruction",
        "likelihood",
        "contrastive",
        "swapped",
        "agreement",
        "code_matching",
        "cross_commitment",
        "paired_ema",
        "temperature",
        "spread",
        "sinkhorn_epsilon",
        "sinkhorn_rounds",
    }
)


class Outputs(NamedTuple):
    """One modality of a batch on its way through the model.

    Attributes:
        features: f32[B, H, W, C], what is rebuilt.
        latents: from the encoder.
        shared, private: the quantized latents; private may be None.
        decoded: from the decoder.
        rebuilt: f32[B, H, W, C], the values that it stands for.
    """

    features: Any
    latents: Latents
    shared: Quantized
    private: Quantized | None
    decoded: Decoded
    rebuilt: Any


@keras.saving.register_keras_serializable("vqmm")
class VQVAE(PairAutoencoder):
    """Encoders for sound and pictures, one shared quantizer, and a decoder for each.

    Shared codes come from the quantizer's range `"shared"` and are trained to agree
    across a pair; private codes come from the range named after the modality and
    carry what the other modality does not have. `build_model` makes one from a
    config.

    Args:
        features: by modality, a layer from the input to what is encoded and rebuilt
            (log-mel for audio, identity for pictures).
        encoders, decoders: by modality.
        quantizer: the joint quantizer, with the ranges `"shared"`, and one for each
            modality that has private codes.
        input_shapes: by modality, without the batch axis.
        weights: of the losses and their settings, see `WEIGHTS`.
        align_from: step at which `code_matching` and `cross_commitment` come in.
        align_ramp: steps over which they grow to their weight.
        private_drop: how often an item must be rebuilt from shared codes alone.
        shared_gradient: share of the reconstruction's gradient that reaches the
            shared latents.
        seed: of the private drop.
        fine: tables for what shared codes leave, once training is done; see `with_fine_codes`.

    A batch is a dict with `audio` f32[B, samples], `image` f32[B, H, W, C] in 0..1,
    `audio_mask` and `image_mask` bool[B].
    """

    WEIGHTS: ClassVar[Mapping[str, float]] = WEIGHTS

    def __init__(
        self,
        features: Mapping[str, Any],
        encoders: Mapping[str, Any],
        decoders: Mapping[str, Any],
        quantizer: Any,
        input_shapes: Mapping[str, Sequence[int]],
        weights: Mapping[str, float] | None = None,
        align_from: int = 0,
        align_ramp: int = 0,
        private_drop: float = Model().private_drop,
        shared_gradient: float = Model().shared_gradient,
        seed: int = 0,
        fine: FineCodes | None = None,
        **kwargs: Any,
    ):
        super().__init__(features, encoders, decoders, input_shapes, weights, seed, **kwargs)
        self.quantizer = quantizer
        self.fine = fine
        self.align_from = align_from
        self.align_ramp = align_ramp
        self.private_drop = private_drop
        self.shared_gradient = shared_gradient

    def private_range(self, modality: str) -> str | None:
        """Name of the modality's own range in the codebook, None where it has none."""
        return modality if modality in self.quantizer.ranges and self.encoders[modality].private else None

    @property
    def codes_started(self) -> bool:
        """Returns whether the codes have been placed. Before, latents pass without codes, and `encode`
        means nothing.

        It is saved with the weights.
        """
        return bool(np.asarray(self.quantizer.started))

    def check_codes_started(self) -> None:
        """Refuses to give codes before they have been placed: the codebook is random until then.

        Raises:
            UserError: the codes have not started.
        """
        if not self.codes_started:
            raise UserError(
                f"this model of step {int(np.asarray(self.step))} gives no codes: they have not started, and "
                "its codebook is random. Train it beyond schedule.quantize_from, or place the codes by "
                "vqmm.training.codebook_start.start_codebook(model, batches)"
            )

    def make_train_function(self, force: bool = False) -> Any:
        """Prepares Keras's own `fit` and `train_on_batch`, which do not start the codes.

        Raises:
            RuntimeError: the codes have not started, and nothing in `fit` would start them.
        """
        if not self.codes_started:
            raise RuntimeError(
                "this model's codes have not started, and fit and train_on_batch never start them: its "
                "codebook would stay random. Train it by vqmm.training.loop.train (vqmm train), "
                "which starts them at schedule.quantize_from; or build it with schedule.quantize_from=0; or "
                "place the codes on batches first: "
                "vqmm.training.codebook_start.start_codebook(model, batches)"
            )
        return super().make_train_function(force)

    def encode(self, audio: Any = None, image: Any = None, fine: bool = True) -> Codes:
        """Codes of recordings f32[B, samples] or of pictures f32[B, H, W, C]: give one.

        `fine=False` leaves out the fine codes of a model that has them.
        """
        modality, latents = self._latents(audio, image)
        name = self.private_range(modality)
        shared = self.quantizer.nearest(latents.shared, "shared")
        return Codes(
            shared,
            None if name is None else self.quantizer.nearest(latents.private, name),
            self.fine(self._residual(latents.shared, shared)) if self.fine is not None and fine else None,
        )

    def embed(self, audio: Any = None, image: Any = None) -> Any:
        """Continuous shared latents f32[B, T, E], each of unit length, where codes are looked up."""
        _, latents = self._latents(audio, image)
        return self._directions(latents.shared)

    def residual(self, audio: Any = None, image: Any = None) -> Any:
        """What `embed` gives less the unit vectors of the shared codes, f32[B, T, E]: see `FineCodes`."""
        _, latents = self._latents(audio, image)
        return self._residual(latents.shared, self.quantizer.nearest(latents.shared, "shared"))

    def fine_tables(self) -> np.ndarray | None:
        """The tables of `FineCodes`, f32[T, R, E]; None where the model has none."""
        return None if self.fine is None else np.asarray(self.fine.tables)

    def reconstruct(self, items: Any, modality: str, to: str | None = None, private: bool = True) -> Any:
        codes = self.encode(**{modality: items})
        whole = private and to in (None, modality)
        return self.decode(codes if whole else Codes(codes.shared), to or modality)

    def decode(self, codes: Codes, modality: str) -> Any:
        """Rebuilds `"image"` f32[B, H, W, C] in 0..1 or `"audio"` log-mel f32[B, frames, mels, 1].

        Shared codes may come from the other modality; private ones may be None.
        """
        self._check(modality)
        values = self.quantizer.codes_to_values
        private = None if codes.private is None else values(codes.private, modality)
        decoder = self.decoders[modality]
        return decoder.value(decoder(values(codes.shared, "shared"), private, training=False).parameters)

    def call(self, batch: Mapping[str, Any], training: bool | None = None) -> dict[str, Outputs]:
        return {name: self._pass(name, batch, training) for name in self.input_shapes}

    def latent_terms(self, batch: Mapping[str, Any], outputs: Mapping[str, Outputs]) -> dict[str, Any]:
        terms: dict[str, Any] = {}
        commitment, codebook, entropy = ops.zeros(()), ops.zeros(()), ops.zeros(())
        for out in outputs.values():
            for part in (out.shared, out.private):
                if part is not None:
                    commitment = commitment + part.commitment_loss
                    codebook = codebook + part.codebook_loss
                    entropy = entropy + part.entropy_loss
        terms["commitment"] = commitment
        if self.quantizer.has_codebook_loss:
            terms["codebook"] = codebook
        if self.quantizer.has_entropy_loss:
            terms["entropy"] = entropy
        if set(outputs) == set(MODALITIES):
            terms.update(self._alignment(batch, outputs))
        return terms

    def after_step(self, batch: Mapping[str, Any], outputs: Mapping[str, Outputs]) -> None:
        self.quantizer.update(self._assignments(batch, outputs))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "quantizer": keras.saving.serialize_keras_object(self.quantizer),
            "align_from": self.align_from,
            "align_ramp": self.align_ramp,
            "private_drop": self.private_drop,
            "shared_gradient": self.shared_gradient,
            "fine": self.fine and keras.saving.serialize_keras_object(self.fine),
        }

    def _directions(self, latents: Any) -> Any:
        return ops.normalize(self.quantizer.embed(latents, "shared"), axis=-1)

    def _residual(self, latents: Any, codes: Any) -> Any:
        first, _ = self.quantizer.range_of("shared")
        table = ops.normalize(self.quantizer.table("shared"), axis=-1)
        return self._directions(latents) - ops.take(table, codes - first, axis=0)

    def _pass(self, name: str, batch: Mapping[str, Any], training: bool | None) -> Outputs:
        mask = batch[f"{name}_mask"]
        features = self.features[name](batch[name])
        latents = self.encoders[name](features, training=training)
        shared = self.quantizer(latents.shared, range="shared", present=mask)
        own = self.private_range(name)
        private = None if own is None else self.quantizer(latents.private, range=own, present=mask)
        fixed = ops.stop_gradient(shared.values)
        read = fixed + self.shared_gradient * (shared.values - fixed)
        keep = None
        if training and private is not None and self.private_drop > 0:
            draw = keras.random.uniform((ops.shape(mask)[0],), seed=self.random)
            keep = draw >= self.private_drop
        decoder = self.decoders[name]
        decoded = decoder(read, private and private.values, keep, training=training)
        return Outputs(features, latents, shared, private, decoded, decoder.value(decoded.parameters))

    def _alignment(self, batch: Mapping[str, Any], outputs: Mapping[str, Outputs]) -> dict[str, Any]:
        w = self.weights_of_losses
        paired = ops.logical_and(batch["audio_mask"], batch["image_mask"])
        raw = [ops.cast(outputs[name].latents.shared, "float32") for name in MODALITIES]
        paired = ops.cast(gather_over_replicas(ops.cast(paired, "int32")), "bool")
        # Negatives and balance are over the batch of all replicas.
        raw = [gather_over_replicas(x) for x in raw]
        audio, image = [ops.normalize(x, axis=-1) for x in raw]
        terms: dict[str, Any] = {}
        same_layout = audio.shape[1] == image.shape[1]
        if w["contrastive"]:
            a, i = (audio, image) if same_layout else (_pooled(audio), _pooled(image))
            value = losses.contrastive_loss(a, i, paired, w["temperature"], items_of(batch))
            terms["contrastive"] = w["contrastive"] * value
        if not any(w[name] for name in ("swapped", "agreement", "code_matching", "cross_commitment")):
            return terms
        audio_scores, image_scores = (_token_scores(self.quantizer.similarities(x, "shared")) for x in raw)
        if w["swapped"] and same_layout:
            terms["swapped"] = w["swapped"] * losses.swapped_loss(
                audio_scores,
                image_scores,
                paired,
                temperature=w["temperature"],
                epsilon=w["sinkhorn_epsilon"],
                rounds=int(w["sinkhorn_rounds"]),
            )
        if w["agreement"] and same_layout:
            value = losses.agreement_loss(audio_scores, image_scores, paired, w["temperature"], w["spread"])
            terms["agreement"] = ops.convert_to_tensor(self.quantizer.started) * w["agreement"] * value
        ramp = self.ramp(self.align_from, self.align_ramp)
        if w["code_matching"]:
            value = losses.code_matching_loss(
                audio_scores, image_scores, paired, w["temperature"], items_of(batch)
            )
            terms["code_matching"] = ramp * w["code_matching"] * value
        if w["cross_commitment"] and same_layout:
            values = {name: gather_over_replicas(outputs[name].shared.values) for name in MODALITIES}
            own = [self.quantizer.receive(x, "shared") for x in raw]
            value = losses.cross_commitment_loss(own[0], own[1], values["audio"], values["image"], paired)
            terms["cross_commitment"] = ramp * w["cross_commitment"] * value
        return terms

    def _assignments(self, batch: Mapping[str, Any], outputs: Mapping[str, Outputs]) -> list[Assignment]:
        found = []
        mix = self.weights_of_losses["paired_ema"]
        for name, out in outputs.items():
            mask = batch[f"{name}_mask"]
            latents = self.quantizer.receive(out.latents.shared, "shared")
            if mix and set(outputs) == set(MODALITIES):
                partner = outputs["image" if name == "audio" else "audio"]
                other = self.quantizer.receive(partner.latents.shared, "shared")
                both = ops.logical_and(batch["audio_mask"], batch["image_mask"])
                latents = latents + ops.where(both[:, None, None], mix * (other - latents), 0.0)
            found.append(Assignment(latents, out.shared.codes, mask, "shared"))
            if out.private is not None:
                found.append(Assignment(out.latents.private, out.private.codes, mask, name))
        return found

    def figures(self, batch: Mapping[str, Any], outputs: Mapping[str, Outputs]) -> dict[str, Any]:
        if set(outputs) != set(MODALITIES):
            return {}
        audio, image = (outputs[name].shared.codes for name in MODALITIES)
        if audio.shape[1] != image.shape[1]:
            return {}
        paired = ops.logical_and(batch["audio_mask"], batch["image_mask"])
        equal = ops.mean(ops.cast(ops.equal(audio, image), "float32"), axis=1)
        return {"pair_agreement": losses.masked_mean(equal, paired)}


def _pooled(tokens: Any) -> Any:
    return ops.normalize(ops.mean(tokens, axis=1, keepdims=True), axis=-1)


def _token_scores(scores: Any) -> Any:
    """f32[B, T, K], also where each stretch of a token has scores of its own: f32[B, T, G, K]."""
    return ops.reshape(scores, (-1, int(np.prod(scores.shape[1:-1])), scores.shape[-1]))
