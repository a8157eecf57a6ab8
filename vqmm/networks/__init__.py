"""Encoders and decoders."""

from vqmm.networks.decoder import Decoder
from vqmm.networks.encoder import Encoder, Latents

__all__ = ["Decoder", "Encoder", "Latents"]
