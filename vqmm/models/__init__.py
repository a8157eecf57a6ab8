"""Trainable models."""

from vqmm.models.alphabet import without_idle_codes
from vqmm.models.build import build_model
from vqmm.models.codes import Codes
from vqmm.models.vqvae import VQVAE, Outputs

__all__ = ["VQVAE", "Codes", "Outputs", "build_model", "without_idle_codes"]
