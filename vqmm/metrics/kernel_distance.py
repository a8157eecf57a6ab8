"""Kernel distance between two sets of features."""

from __future__ import annotations

import numpy as np

from vqmm.metrics.bootstrap import Figure
from vqmm.metrics.frechet import checked_features
from vqmm.metrics.interval_items import FOR_SET, too_few

MOST = 4000  # items of each side that are compared: their kernels take 128 MB each


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, resamples: int = 1000, seed: int = 0, paired: bool = False
) -> Figure:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / F + 1)^3.

    Binkowski et al. 2018 on Inception features call it KID; here all items are compared at once. It
    may be below 0. For the interval the items of both sides are drawn anew; two draws of one item are
    not a pair, else each resample would lie farther off. Between sets of the same distribution it is
    wider than it need be. Of fewer than `FOR_SET` items on either side there is none.

    Args:
        real, fake: f[n, F] and f[m, F], n and m at least 2; of more than `MOST` a sample.
        resamples: of the items, for the interval.
        seed: of the draws.
        paired: `fake[i]` was made of `real[i]`: they are drawn together, and not compared with each
            other, since they are alike beyond what their distributions are.

    Raises:
        ValueError: for other shapes or values that are not finite.
    """
    from sklearn.metrics.pairwise import polynomial_kernel

    real, fake = checked_features(real, fake)
    if paired and len(real) != len(fake):
        raise ValueError(f"{len(real)} and {len(fake)} items are no pairs: give as many, or paired=False")
    rng = np.random.default_rng(seed)
    if max(len(real), len(fake)) > MOST:
        left, right = (rng.permutation(len(side))[:MOST] for side in (real, fake))
        real, fake = real[left], fake[left if paired else right]
    within = [polynomial_kernel(side, degree=3, coef0=1) for side in (real, fake)]
    across = polynomial_kernel(real, fake, degree=3, coef0=1)

    def estimates(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        if paired:
            between = mean_over_pairs(across, left, right)
        else:
            between = (left @ across * right).sum(axis=1) / across.size
        own = mean_over_pairs(within[0], left, left) + mean_over_pairs(within[1], right, right)
        return own - 2.0 * between

    value = float(estimates(np.ones((1, len(real))), np.ones((1, len(fake))))[0])
    note = too_few(min(len(real), len(fake)), FOR_SET)
    if note:
        return Figure(value, None, len(fake), note=note)
    left = _drawn(rng, len(real), resamples)
    drawn = estimates(left, left if paired else _drawn(rng, len(fake), resamples))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(value, (float(min(low, value)), float(max(high, value))), len(fake))


def mean_over_pairs(kernel: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Mean of a kernel over pairs of different items, f64[R]; NaN where there is none.

    Args:
        kernel: f64[n, n].
        left, right: f64[R, n], how often each item is there.
    """
    pairs = (left @ kernel * right).sum(axis=1) - left * right @ np.diag(kernel)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pairs / (left.sum(axis=1) * right.sum(axis=1) - (left * right).sum(axis=1))


def _drawn(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    return rng.multinomial(count, np.full(count, 1.0 / count), size=resamples).astype("float64")
