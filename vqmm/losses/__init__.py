"""Loss functions, each on plain tensors."""

from vqmm.losses.agreement import agreement_loss
from vqmm.losses.code_matching import code_matching_loss
from vqmm.losses.contrastive import contrastive_loss
from vqmm.losses.cross_commitment import cross_commitment_loss
from vqmm.losses.gaussian import gaussian_kl, kl_loss
from vqmm.losses.likelihood import likelihood_loss
from vqmm.losses.perceptual import multiresolution_loss, perceptual_distance, perceptual_loss
from vqmm.losses.reconstruction import reconstruction_loss
from vqmm.losses.spectral import multiscale_mel_loss
from vqmm.losses.swapped import sinkhorn, swapped_loss
from vqmm.losses.weighting import item_weights, masked_mean

__all__ = [
    "agreement_loss",
    "code_matching_loss",
    "contrastive_loss",
    "cross_commitment_loss",
    "gaussian_kl",
    "item_weights",
    "kl_loss",
    "likelihood_loss",
    "masked_mean",
    "multiresolution_loss",
    "multiscale_mel_loss",
    "perceptual_distance",
    "perceptual_loss",
    "reconstruction_loss",
    "sinkhorn",
    "swapped_loss",
]
