"""How close a rebuilt picture or spectrogram is to the original, item by item."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales of MS-SSIM, finest first
SMALLEST_MSE = 1e-10  # a perfect picture scores 100 dB and not infinity
MOST_DB = 100.0  # so does sound, and what was rebuilt as silence scores -100 dB


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


def logistic_cross_entropy(original: np.ndarray, rebuilt: np.ndarray, scale: float) -> np.ndarray:
    """Bits that a sample of a picture costs, f64[n], of pictures f[n, H, W, C] in 0..1 at 256 levels.

    The levels' probabilities are those of a logistic distribution around the rebuilt value,
    cut into 256 bins whose ends take the tails (Salimans et al. 2017, equation 2).

    Args:
        original, rebuilt: pictures.
        scale: of the distribution, in the units of the pictures; more than 0.
    """
    level = np.clip(np.round(np.asarray(original, "float64") * 255.0), 0.0, 255.0)
    centre = np.asarray(rebuilt, "float64")
    above = np.where(level < 255, _logistic((level + 0.5) / 255.0, centre, scale), 1.0)
    below = np.where(level > 0, _logistic((level - 0.5) / 255.0, centre, scale), 0.0)
    return -np.log2(np.maximum(above - below, 1e-12)).mean(axis=(1, 2, 3))


def _logistic(x: np.ndarray, centre: np.ndarray, scale: float) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * (x - centre) / scale))


def multiscale_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity over up to five halvings, f64[n], of pictures f[n, H, W, C] in 0..1.

    Wang et al. 2003, as `tf.image.ssim_multiscale` computes it. Where a picture is too small
    for the 11 x 11 window at all five scales, the coarsest are left out and the weights of the
    others scaled to sum to 1: compare pictures of one size.
    """
    side = min(a.shape[1:3])
    window = min(11, side)
    scales = sum(side // 2**halvings >= window for halvings in range(len(SCALE_WEIGHTS)))
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    left, right = (tf.convert_to_tensor(np.asarray(x, "float32")) for x in (a, b))
    found = tf.image.ssim_multiscale(left, right, 1.0, weights.tolist(), filter_size=window)
    return found.numpy().astype("float64")


def si_sdr(original: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
    """Scale-invariant signal-to-distortion ratio in dB per clip, f64[n], of sound f[n, samples].

    Le Roux et al. 2019, equation 5: 10 log10 |s|^2 / |s - r|^2 with s the part of the
    original that the rebuilt clip r contains. It asks for the phase: sound through
    Griffin-Lim scores low whatever it sounds like. A silent original scores NaN, a sounding one
    that was rebuilt as silence -inf, an exact copy at whatever loudness inf; bound these, as by
    `MOST_DB`, before a mean.
    """
    original, rebuilt = (np.asarray(x, "float64") for x in (original, rebuilt))
    energy = np.square(original).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        target = (original * rebuilt).sum(axis=1, keepdims=True) / energy * original
        kept, lost = np.square(target).sum(axis=1), np.square(target - rebuilt).sum(axis=1)
        ratio = 10.0 * np.log10(kept / lost)
    return np.where((kept == 0.0) & (lost == 0.0), -np.inf, ratio)  # of a silent original both are NaN


def log_mel_l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean absolute difference per item, f64[n], of log10 mel powers f[n, frames, mels, 1].

    In log10 units of power: times ten it is in dB.
    """
    return np.abs(np.asarray(a, "float64") - b).mean(axis=(1, 2, 3))
