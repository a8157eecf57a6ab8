"""Layers that turn latents into codes of one joint vocabulary."""

from vqmm.quantizers.base import Assignment, Quantized, Quantizer
from vqmm.quantizers.fine_codes import FineCodes
from vqmm.quantizers.fsq import FSQ
from vqmm.quantizers.grouped import GroupedQuantizer
from vqmm.quantizers.joint import JointQuantizer
from vqmm.quantizers.lookup_free import LookupFree
from vqmm.quantizers.nearest import VectorQuantizer
from vqmm.quantizers.projected import ProjectedQuantizer
from vqmm.quantizers.residual import ResidualQuantizer
from vqmm.quantizers.sim_vq import SimVQ

__all__ = [
    "FSQ",
    "Assignment",
    "FineCodes",
    "GroupedQuantizer",
    "JointQuantizer",
    "LookupFree",
    "ProjectedQuantizer",
    "Quantized",
    "Quantizer",
    "ResidualQuantizer",
    "SimVQ",
    "VectorQuantizer",
]
