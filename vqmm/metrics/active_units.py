"""How many latents of a variational autoencoder say anything."""

from __future__ import annotations

import numpy as np

from vqmm.metrics.bootstrap import Figure

ACTIVE = 0.01  # least variance of a mean over items


def active_units(means: np.ndarray) -> Figure:
    """Share of the latents whose posterior mean varies over items (Burda et al. 2016, section 5.2).

    Where the posterior has collapsed to the prior, the mean is the same for every item.

    Args:
        means: f[n, units], n at least 2.

    Returns:
        The share, 0..1, without interval.

    Raises:
        ValueError: for fewer items.
    """
    if means.ndim != 2 or len(means) < 2:
        raise ValueError(f"means of shape {means.shape}: give [items, units], 2 items or more")
    return Figure(float((means.var(axis=0) > ACTIVE).mean()), None, len(means))
