"""The shared alphabet that training found: the table without its idle codes."""

from __future__ import annotations

from vqmm.models.remade import remade
from vqmm.models.vqvae import VQVAE
from vqmm.quantizers import JointQuantizer, ProjectedQuantizer, Quantizer, VectorQuantizer

IDLE_BELOW = 0.05  # of an even spread over the range


def without_idle_codes(model: VQVAE) -> VQVAE:
    """The same model with only those shared codes that training still chose at its end.

    With the agreement loss, codes that a pair cannot agree on die out; what is left is
    the size that the data asked for. A latent whose code is dropped takes the nearest
    one left. Counts are moving averages: a run that ends within about three times
    1 / (1 - decay) steps of the start of its codes keeps them all.

    Returns:
        A new model, or `model` itself where no code is idle or `counts_codes` is False.
    """
    small = _without_idle(model.quantizer, "shared")
    return model if small is model.quantizer else remade(model, quantizer=small)


def counts_codes(model: VQVAE) -> bool:
    """Whether shared codes are rows of one table that counts their use, so that idle ones can go."""
    part = model.quantizer.part("shared")
    return isinstance(part.inner if isinstance(part, ProjectedQuantizer) else part, VectorQuantizer)


def _without_idle(quantizer: Quantizer, range: str) -> Quantizer:
    """A copy without the idle codes of a range; `quantizer` itself where none is known to be idle."""
    if isinstance(quantizer, VectorQuantizer):
        kept = quantizer.live(range, IDLE_BELOW)
        return quantizer if kept.all() else quantizer.only(range, kept)
    if not isinstance(quantizer, JointQuantizer | ProjectedQuantizer):
        return quantizer
    joint = isinstance(quantizer, JointQuantizer)
    part = quantizer.part(range) if joint else quantizer.inner
    small = _without_idle(part, next(iter(part.ranges), range))
    if small is part:
        return quantizer
    if joint:
        made: Quantizer = JointQuantizer({**quantizer.parts, range: small}, name=quantizer.name)
    else:
        made = ProjectedQuantizer(small, quantizer.dim, quantizer.seed, name=quantizer.name)
        for name in ("project_in", "project_out"):
            getattr(made, name).set_weights(getattr(quantizer, name).get_weights())
    made.started.assign(quantizer.started)
    return made
