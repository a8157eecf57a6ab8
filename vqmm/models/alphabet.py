"""The shared alphabet that training found: the table without its idle codes."""

from __future__ import annotations

from vqmm.models.remade import remade
from vqmm.models.vqvae import VQVAE
from vqmm.quantizers import VectorQuantizer

IDLE_BELOW = 0.05  # of an even spread over the range


def without_idle_codes(model: VQVAE) -> VQVAE:
    """The same model with only those shared codes that training still chose at its end.

    With the agreement loss, codes that a pair cannot agree on die out; what is left is
    the size that the data asked for. A latent whose code is dropped takes the nearest
    one left. Counts are moving averages: a run that ends within about three times
    1 / (1 - decay) steps of the start of its codes keeps them all.

    Returns:
        A new model, or `model` itself where no code is idle or the shared codes are no
        plain table.
    """
    quantizer = model.quantizer
    if not isinstance(quantizer, VectorQuantizer):
        return model
    kept = quantizer.live("shared", IDLE_BELOW)
    if kept.all():
        return model
    return remade(model, quantizer=quantizer.only("shared", kept))
