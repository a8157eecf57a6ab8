"""Layers that turn latents into codes of one joint codebook."""

from vqmm.quantizers.base import Assignment, Quantized
from vqmm.quantizers.nearest import VectorQuantizer

__all__ = ["Assignment", "Quantized", "VectorQuantizer"]
