"""From a config to a model."""

from __future__ import annotations

import keras

from vqmm.audio import LogMel
from vqmm.config import Config
from vqmm.models.build_quantizer import build_quantizer
from vqmm.models.vqvae import VQVAE
from vqmm.networks import Decoder, Encoder

POOLS = {"audio": (4, 2), "image": (3, 3)}  # what the slots head keeps: word order matters, pitch less


def build_model(config: Config) -> VQVAE:
    """Builds the model that a config describes, with fresh weights.

    The weights depend on `config.seed` alone.
    """
    keras.utils.set_random_seed(config.seed)
    model, spec = config.model, config.model.quantizer
    log_mel = LogMel(
        sample_rate=config.data.audio.sample_rate,
        n_fft=model.log_mel.n_fft,
        hop_length=model.log_mel.hop_length,
        mels=model.log_mel.mels,
        fmin=model.log_mel.fmin,
        fmax=model.log_mel.fmax,
        name="log_mel",
    )
    image = config.data.image
    features = {
        "audio": log_mel,
        "image": keras.layers.Identity(dtype="float32", name="pixels"),
    }
    input_shapes = {
        "audio": (config.data.audio.samples,),
        "image": (image.height, image.width, image.channels),
    }
    quantizer = build_quantizer(config)
    quantizer.start(not config.schedule.quantize_from)
    slots = model.slots if model.layout == "slots" else 0
    encoders, decoders = {}, {}
    for place, (name, shape) in enumerate(input_shapes.items()):
        size = features[name](keras.Input(shape)).shape[1:]
        encoders[name] = Encoder(
            model.filters,
            spec.dim,
            layout=model.layout,
            slots=model.slots,
            pool=POOLS[name],
            private=name in quantizer.ranges,
            mean_normalised=model.mean_normalised and name == "audio",
            dropout=model.dropout,
            seed=2 * config.seed + place,
            name=f"{name}_encoder",
        )
        encoders[name].build((None, *size))
        decoders[name] = Decoder(
            tuple(reversed(model.filters)),
            spec.dim,
            grid_shape=encoders[name].grid_shape,
            output_shape=size,
            slots=slots,
            private=name in quantizer.ranges,
            bounded=name == "image",
            offset=-2.5 if name == "audio" else 0.0,
            scale=1.5 if name == "audio" else 1.0,
            name=f"{name}_decoder",
        )
    return VQVAE(
        features,
        encoders,
        decoders,
        quantizer,
        input_shapes,
        weights=config.loss.model_dump(),
        align_from=config.schedule.quantize_from,
        align_ramp=config.schedule.align_ramp,
        private_drop=model.private_drop,
        shared_gradient=model.shared_gradient,
        seed=config.seed,
        name="vqvae",
    )
