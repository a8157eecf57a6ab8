"""Loss functions, each on plain tensors."""

from vqmm.losses.agreement import agreement_loss
from vqmm.losses.code_matching import code_matching_loss
from vqmm.losses.contrastive import contrastive_loss
from vqmm.losses.cross_commitment import cross_commitment_loss
from vqmm.losses.reconstruction import reconstruction_loss
from vqmm.losses.swapped import sinkhorn, swapped_loss

__all__ = [
    "agreement_loss",
    "code_matching_loss",
    "contrastive_loss",
    "cross_commitment_loss",
    "reconstruction_loss",
    "sinkhorn",
    "swapped_loss",
]
