import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from vqmm.metrics import (
    log_mel_l1,
    logistic_cross_entropy,
    mean_squared_error,
    multiscale_ssim,
    psnr,
    si_sdr,
    ssim,
)

RNG = np.random.default_rng(0)
A = gaussian_filter(RNG.random((3, 24, 20, 1)), (0, 2, 2, 0)).astype("float32")
B = np.clip(A + 0.1 * RNG.normal(size=A.shape), 0, 1).astype("float32")


def test_mse_and_psnr_against_tensorflow():
    np.testing.assert_allclose(mean_squared_error(A, B), np.mean((A - B) ** 2, axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(psnr(A, B), tf.image.psnr(A, B, 1.0), rtol=1e-5)


def test_known_psnr():
    black = np.zeros((1, 8, 8, 3), "float32")
    assert psnr(black, black + 0.1)[0] == pytest.approx(20.0, abs=1e-4)
    assert psnr(black, black)[0] == 100.0


def test_ssim_from_its_definition():
    """Gaussian moments by scipy, valid windows only."""

    def smooth(x):
        return gaussian_filter(x, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

    expected = []
    for x, y in zip(A[..., 0].astype(float), B[..., 0].astype(float), strict=True):
        mx, my = smooth(x), smooth(y)
        vx, vy, cov = smooth(x * x) - mx**2, smooth(y * y) - my**2, smooth(x * y) - mx * my
        c1, c2 = 0.01**2, 0.03**2
        expected.append(
            (((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()
        )
    np.testing.assert_allclose(ssim(A, B), expected, atol=1e-4)


def test_ssim_of_equal_and_of_tiny_pictures():
    np.testing.assert_allclose(ssim(A, A), 1.0, atol=1e-6)
    tiny = A[:, :8, :8]
    assert ssim(tiny, tiny) == pytest.approx(np.ones(3)) and np.all(ssim(tiny, 1 - tiny) < 0.5)


def test_log_mel_l1_is_per_item():
    a = np.zeros((2, 4, 3, 1), "float32")
    b = a + np.array([0.5, -2.0], "float32")[:, None, None, None]
    np.testing.assert_allclose(log_mel_l1(a, b), [0.5, 2.0])


def test_multiscale_ssim_is_the_weighted_product_over_the_scales_that_fit():
    """From one halving on by hand: contrast and structure of the finest, whole SSIM of the coarser one."""

    def parts(x, y):
        def smooth(z):
            return gaussian_filter(z, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

        a, b = smooth(x), smooth(y)
        spread = 2 * (smooth(x * y) - a * b) + 0.03**2
        structure = spread / (smooth(x * x) - a * a + smooth(y * y) - b * b + 0.03**2)
        light = (2 * a * b + 0.01**2) / (a * a + b * b + 0.01**2)
        return (light * structure).mean(), structure.mean()

    x, y = (
        A[0, :, :, 0].repeat(2, 0).repeat(2, 1)[:40, :28],
        B[0, :, :, 0].repeat(2, 0).repeat(2, 1)[:40, :28],
    )
    halved = [z.reshape(20, 2, 14, 2).mean((1, 3)) for z in (x, y)]
    weights = np.array([0.0448, 0.2856]) / (0.0448 + 0.2856)
    wanted = parts(x, y)[1] ** weights[0] * parts(*halved)[0] ** weights[1]
    found = multiscale_ssim(x[None, :, :, None], y[None, :, :, None])
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    np.testing.assert_allclose(multiscale_ssim(A, A), 1.0, rtol=1e-5)


def test_si_sdr_of_known_noise_whatever_the_scale():
    t = np.arange(4000) / 4000
    signal, noise = np.sin(2 * np.pi * 50 * t)[None], np.cos(2 * np.pi * 170 * t)[None]
    np.testing.assert_allclose(si_sdr(signal, 3.0 * (signal + 0.1 * noise)), 20.0, atol=1e-6)
    assert si_sdr(signal, noise)[0] < -100
    assert np.isnan(si_sdr(0 * signal, signal)[0]) and np.isnan(si_sdr(0 * signal, 0 * signal)[0])
    assert si_sdr(signal, 0 * signal)[0] == -np.inf  # as bad as can be, and not nothing to be told
    exact = np.array([[1.0, -1.0, 1.0, 0.0]])
    assert si_sdr(exact, 2.0 * exact)[0] == np.inf


def test_cross_entropy_is_the_log_of_probabilities_that_sum_to_one():
    levels = np.arange(256) / 255.0
    original, rebuilt = levels.reshape(256, 1, 1, 1), np.full((256, 1, 1, 1), 0.4)
    bits = logistic_cross_entropy(original, rebuilt, 0.05)
    assert np.exp2(-bits).sum() == pytest.approx(1.0)
    assert bits.argmin() == round(0.4 * 255)
    sharp = logistic_cross_entropy(original, original, 1e-4)
    np.testing.assert_allclose(sharp, 0.0, atol=1e-6)
