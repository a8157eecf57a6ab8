"""Trainable models."""

from vqmm.models.alphabet import without_idle_codes
from vqmm.models.autoencoder import PairAutoencoder
from vqmm.models.build import build_model
from vqmm.models.codes import Codes
from vqmm.models.vae import VAE, Gaussian, Posterior
from vqmm.models.vqgan import VQGAN
from vqmm.models.vqvae import VQVAE, Outputs

__all__ = [
    "VAE",
    "VQGAN",
    "VQVAE",
    "Codes",
    "Gaussian",
    "Outputs",
    "PairAutoencoder",
    "Posterior",
    "build_model",
    "without_idle_codes",
]
