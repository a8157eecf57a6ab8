"""How close a rebuilt picture or spectrogram is to the original, item by item."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

SMALLEST_MSE = 1e-10  # a perfect picture scores 100 dB and not infinity


def mean_squared_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean over pixels, f64[n], of pictures f[n, H, W, C] in 0..1."""
    return np.square(np.asarray(a, "float64") - b).mean(axis=(1, 2, 3))


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB per picture, f64[n], of pictures f[n, H, W, C] in 0..1.

    The mean of these over pictures is what is reported; the PSNR of the mean
    squared error over all pictures is never higher.
    """
    return -10.0 * np.log10(np.maximum(mean_squared_error(a, b), SMALLEST_MSE))


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity per picture, f64[n], of pictures f[n, H, W, C] in 0..1.

    Wang et al. 2004 with an 11 x 11 Gaussian window of 1.5 pixels, as
    `tf.image.ssim` computes it; a side below 11 pixels narrows the window to it.
    """
    window = min(11, *a.shape[1:3])
    left, right = (tf.convert_to_tensor(np.asarray(x, "float32")) for x in (a, b))
    return tf.image.ssim(left, right, max_val=1.0, filter_size=window).numpy().astype("float64")


def log_mel_l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean absolute difference per item, f64[n], of log10 mel powers f[n, frames, mels, 1].

    In log10 units of power: times ten it is in dB.
    """
    return np.abs(np.asarray(a, "float64") - b).mean(axis=(1, 2, 3))
