"""Trainable models."""

from vqmm.models.adversary import Adversary
from vqmm.models.alphabet import counts_codes, without_idle_codes
from vqmm.models.autoencoder import PairAutoencoder
from vqmm.models.build import build_model
from vqmm.models.build_vocoder import build_vocoder
from vqmm.models.codes import Codes
from vqmm.models.decoding import Sampler, Settings
from vqmm.models.prior import Prior
from vqmm.models.remade import remade
from vqmm.models.token_layout import HIDDEN, TokenLayout, layout_of
from vqmm.models.vae import VAE, Gaussian, Posterior
from vqmm.models.vocoder import Vocoder
from vqmm.models.vqgan import VQGAN
from vqmm.models.vqvae import VQVAE, Outputs

__all__ = [
    "HIDDEN",
    "VAE",
    "VQGAN",
    "VQVAE",
    "Adversary",
    "Codes",
    "Gaussian",
    "Outputs",
    "PairAutoencoder",
    "Prior",
    "Sampler",
    "Settings",
    "TokenLayout",
    "Posterior",
    "Vocoder",
    "build_model",
    "build_vocoder",
    "counts_codes",
    "layout_of",
    "remade",
    "without_idle_codes",
]
