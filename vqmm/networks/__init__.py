"""Encoders, decoders, discriminators, and networks to measure in."""

from vqmm.networks.decoder import Decoded, Decoder
from vqmm.networks.discriminator import Discriminator, Judgement
from vqmm.networks.encoder import Encoder, Latents
from vqmm.networks.feature_net import FeatureNet, PretrainedFeatures
from vqmm.networks.sound_discriminator import SoundDiscriminator
from vqmm.networks.wave_decoder import WaveDecoder

__all__ = [
    "Decoded",
    "Decoder",
    "Discriminator",
    "Encoder",
    "FeatureNet",
    "Judgement",
    "Latents",
    "PretrainedFeatures",
    "SoundDiscriminator",
    "WaveDecoder",
]
