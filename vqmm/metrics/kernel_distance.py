"""Kernel distance between two sets of features."""

from __future__ import annotations

import numpy as np
from sklearn.metrics.pairwise import polynomial_kernel

from vqmm.metrics.bootstrap import Figure

SUBSET = 200  # items of each side in one estimate


def kernel_distance(real: np.ndarray, fake: np.ndarray, subsets: int = 50, seed: int = 0) -> Figure:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / F + 1)^3.

    Binkowski et al. 2018 on Inception features call it KID. Estimates over `subsets`
    random subsets of up to 200 items are averaged; the interval is that of their mean. An
    estimate may be below 0.

    Args:
        real, fake: f[n, F] and f[m, F], n and m at least 2.
        subsets: number of estimates.
        seed: of the draws.

    Raises:
        ValueError: for other shapes.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1] or min(len(real), len(fake)) < 2:
        raise ValueError(
            f"features of shapes {real.shape} and {fake.shape}: give [items, F], 2 items or more"
        )
    size = min(SUBSET, len(real), len(fake))
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [
            _estimate(
                real[rng.choice(len(real), size, replace=False)],
                fake[rng.choice(len(fake), size, replace=False)],
            )
            for _ in range(subsets)
        ]
    )
    value, error = float(drawn.mean()), 1.96 * float(drawn.std(ddof=1)) / np.sqrt(subsets)
    return Figure(value, (value - error, value + error), len(fake))


def _estimate(real: np.ndarray, fake: np.ndarray) -> float:
    n = len(real)
    within = [polynomial_kernel(x, degree=3, coef0=1) for x in (real, fake)]
    across = polynomial_kernel(real, fake, degree=3, coef0=1)
    return float(sum((k.sum() - np.trace(k)) / (n * (n - 1)) for k in within) - 2.0 * across.mean())
