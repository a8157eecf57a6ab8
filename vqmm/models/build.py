"""From a config to a model."""

from __future__ import annotations

import math
from typing import Any

import keras

from vqmm.audio import LogMel
from vqmm.config import Config
from vqmm.errors import UserError
from vqmm.models.autoencoder import PairAutoencoder
from vqmm.models.build_perceiver import build_perceiver
from vqmm.models.build_quantizer import build_quantizer
from vqmm.models.vae import VAE
from vqmm.models.vqgan import VQGAN
from vqmm.models.vqvae import VQVAE
from vqmm.networks import Decoder, Discriminator, Encoder

POOLS = {"audio": (4, 2), "image": (3, 3)}  # what the slots head keeps: word order matters, pitch less


def build_model(config: Config) -> PairAutoencoder:
    """Builds the model that a config describes, with fresh weights.

    The weights depend on `config.seed` alone.

    Raises:
        UserError: for settings that cannot work together.
    """
    keras.utils.set_random_seed(config.seed)
    kind = config.model.kind
    parts = _features(config)
    weights = config.loss.model_dump()
    if kind == "vae":
        own = [name for name, size in _private_sizes(config).items() if size]
        return VAE(
            **parts,
            **_networks(config, parts, own, widening=2),
            weights={key: weights[key] for key in VAE.WEIGHTS},
            kl_ramp=config.schedule.kl_ramp,
            private_drop=config.model.private_drop,
            seed=config.seed,
            name="vae",
        )
    quantizer = build_quantizer(config)
    quantizer.start(not config.schedule.quantize_from)
    networks = _networks(config, parts, list(quantizer.ranges))
    if config.model.layout == "grid":
        tokens = {name: math.prod(encoder.grid_shape) for name, encoder in networks["encoders"].items()}
        if len(set(tokens.values())) > 1:
            _check_token_losses(config, tokens)
            weights["swapped"] = 0.0  # on by default
    made = VQGAN if kind == "vqgan" else VQVAE
    return made(
        **parts,
        **networks,
        quantizer=quantizer,
        weights={key: weights[key] for key in made.WEIGHTS},
        align_from=config.schedule.quantize_from,
        align_ramp=config.schedule.align_ramp,
        private_drop=config.model.private_drop,
        shared_gradient=config.model.shared_gradient,
        seed=config.seed,
        name=kind,
        **(_critics(config, parts) if kind == "vqgan" else {}),
    )


def log_mel_of(config: Config) -> LogMel:
    """The layer that turns a config's recordings into what is encoded."""
    spec = config.model.log_mel
    return LogMel(
        sample_rate=config.data.audio.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        mels=spec.mels,
        fmin=spec.fmin,
        fmax=spec.fmax,
        name="log_mel",
    )


def _private_sizes(config: Config) -> dict[str, int]:
    spec = config.model.quantizer
    return {"audio": spec.audio, "image": spec.image}


def _features(config: Config) -> dict[str, Any]:
    """What is encoded and rebuilt, and the shapes of what comes in."""
    audio, image = config.data.audio, config.data.image
    return {
        "features": {
            "audio": log_mel_of(config),
            "image": keras.layers.Identity(dtype="float32", name="pixels"),
        },
        "input_shapes": {
            "audio": (audio.samples,),
            "image": (image.height, image.width, image.channels),
        },
    }


def _sizes(parts: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Height, width and channels of the features by modality."""
    return {
        name: parts["features"][name](keras.Input(shape)).shape[1:]
        for name, shape in parts["input_shapes"].items()
    }


def _check_token_losses(config: Config, tokens: dict[str, int]) -> None:
    """Refuses losses that compare a pair token by token where its sides do not have as many."""
    for key in ("agreement", "cross_commitment", "paired_ema"):
        if value := getattr(config.loss, key):
            raise UserError(
                f"loss.{key}={value} compares a pair token by token, and model.layout=grid gives "
                f"{' and '.join(f'{count} of {name}' for name, count in tokens.items())}; set it to 0, "
                "or take model.layout=slots"
            )


def _networks(config: Config, parts: dict[str, Any], private: list[str], widening: int = 1) -> dict[str, Any]:
    """Encoders and decoders; the encoders' latents are `widening` times as wide as the decoders'."""
    model, dim = config.model, config.model.quantizer.dim
    encoders, decoders = {}, {}
    for place, (name, size) in enumerate(_sizes(parts).items()):
        encoders[name] = Encoder(
            model.filters,
            widening * dim,
            layout=model.layout,
            slots=model.slots,
            pool=POOLS[name],
            private=name in private,
            mean_normalised=model.mean_normalised and name == "audio",
            dropout=model.dropout,
            seed=2 * config.seed + place,
            eight_bits=model.eight_bits,
            name=f"{name}_encoder",
        )
        encoders[name].build((None, *size))
        decoders[name] = Decoder(
            tuple(reversed(model.filters)),
            dim,
            grid_shape=encoders[name].grid_shape,
            output_shape=size,
            slots=model.slots if model.layout == "slots" else 0,
            private=name in private,
            bounded=name == "image",
            offset=-2.5 if name == "audio" else 0.0,
            scale=1.5 if name == "audio" else 1.0,
            output=model.pixels if name == "image" else "value",
            eight_bits=model.eight_bits,
            name=f"{name}_decoder",
        )
    return {"encoders": encoders, "decoders": decoders}


def _critics(config: Config, parts: dict[str, Any]) -> dict[str, Any]:
    """What a VQGAN has besides: discriminators, perceiver and their settings."""
    spec, schedule = config.model.discriminator, config.schedule
    discriminators = {}
    for place, (name, size) in enumerate(_sizes(parts).items()):
        scales = spec.audio_scales if name == "audio" else 1
        discriminators[name] = Discriminator(
            spec.filters, scales, spec.norm, seed=2 * config.seed + place, name=f"{name}_discriminator"
        )
        try:
            discriminators[name].build((None, *size))
        except ValueError as error:
            raise UserError(f"model.discriminator for {name}: {error}") from None
    return {
        "discriminators": discriminators,
        "perceiver": build_perceiver(config),
        "adversarial": {
            **config.loss.adversarial.model_dump(),
            "discriminator_from": schedule.discriminator_from,
            "from_step": schedule.adversarial_from,
            "ramp": schedule.adversarial_ramp,
        },
    }
