"""Models for formats without Fourier transforms."""

from __future__ import annotations

from vqmm.audio import LogMel
from vqmm.models import VQVAE, remade


def with_products(model: VQVAE) -> VQVAE:
    """The same model, whose log-mel is made by products of matrices in place of a Fourier transform."""
    layer = model.features["audio"]
    products = LogMel.from_config({**layer.get_config(), "fourier": "matmul"})
    return remade(model, features={**model.features, "audio": products})
