from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import ImageAugment
from vqmm.data.augment_image import augment_image
from vqmm.data.draws import item_seeds

SIDE, PICTURES = 32, 64
Y, X = np.mgrid[:SIDE, :SIDE]
EVERYTHING = ImageAugment(
    rotate=20, scale=0.3, shear=0.3, shift=0.1, elastic=0.1, stroke=1, gamma=1, noise=0.2, blur=0.5, flip=True
)
GEOMETRY = {"rotate": 20, "scale": 0.3, "shear": 0.3, "shift": 0.1, "elastic": 0.1, "flip": True}


def seeds_of(count: int = PICTURES, step: int = 0) -> np.ndarray:
    return item_seeds(12, step, count)[:, 2:]


def augmented(pictures: np.ndarray, seeds: np.ndarray | None = None, **terms) -> np.ndarray:
    seeds = seeds_of(len(pictures)) if seeds is None else seeds
    run = tf.function(lambda image, keys: augment_image(image, keys, ImageAugment(**terms)))
    return run(tf.constant(pictures, tf.float32), tf.constant(seeds)).numpy()


def repeated(picture: np.ndarray, count: int = PICTURES) -> np.ndarray:
    return np.tile(picture[None, :, :, None], (count, 1, 1, 1)).astype("float32")


def blob(wide: float = 3.0, high: float = 3.0) -> np.ndarray:
    return np.exp(-(((X - 15.5) / wide) ** 2) / 2 - ((Y - 15.5) / high) ** 2 / 2)


def mean_of(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (values * weight).sum((1, 2)) / weight.sum((1, 2))


def random_pictures(count: int = 8, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((count, SIDE, SIDE, channels)).astype("float32")


def test_everything_off_changes_nothing():
    np.testing.assert_array_equal(augmented(random_pictures()), random_pictures())


@pytest.mark.parametrize("channels", [1, 3])
def test_everything_on_is_finite_and_in_range(channels):
    pictures = np.concatenate([random_pictures(6, channels), np.zeros((1, SIDE, SIDE, channels))])
    pictures = np.concatenate([pictures, np.ones((1, SIDE, SIDE, channels))])
    out = augmented(pictures, **EVERYTHING.model_dump())
    assert out.shape == pictures.shape
    assert np.isfinite(out).all()
    assert 0 <= out.min() <= out.max() <= 1


def test_the_seed_decides_alone():
    pictures, terms = random_pictures(), EVERYTHING.model_dump()
    out = augmented(pictures, **terms)
    np.testing.assert_array_equal(augmented(pictures, **terms), out)
    other = augmented(pictures, seeds_of(8, step=1), **terms)
    assert (np.abs(other - out).max(axis=(1, 2, 3)) > 0.05).all()
    order = [3, 0, 5]
    np.testing.assert_allclose(augmented(pictures[order], seeds_of(8)[order], **terms), out[order], atol=1e-5)


def test_the_border_goes_on_outwards():
    np.testing.assert_allclose(augmented(np.full((8, SIDE, SIDE, 1), 0.7), **GEOMETRY), 0.7, atol=1e-5)


def test_channels_move_together():
    grey = np.tile(random_pictures(), (1, 1, 1, 3))
    out = augmented(grey, **GEOMETRY, stroke=1, blur=1, gamma=1)
    np.testing.assert_allclose(out, out[..., :1] * np.ones(3), atol=1e-5)


def test_shift_moves_the_centre_within_its_range():
    out = augmented(repeated(blob()), shift=0.15)[..., 0]
    for axis in (X, Y):
        moved = (mean_of(axis, out) - 15.5) / SIDE
        assert np.abs(moved).max() < 0.155
        assert moved.min() < -0.1
        assert moved.max() > 0.1


def test_rotation_turns_by_no_more_than_asked():
    out = augmented(repeated(blob(wide=6, high=1.5)), rotate=25)[..., 0]
    x, y = X - 15.5, Y - 15.5
    angle = np.rad2deg(np.arctan2(2 * mean_of(x * y, out), mean_of(x**2 - y**2, out)) / 2)
    assert np.abs(angle).max() < 26
    assert angle.min() < -17
    assert angle.max() > 17
    np.testing.assert_allclose(mean_of(x, out), 0, atol=0.1)


def test_scale_stretches_each_axis_on_its_own():
    out = augmented(repeated(blob()), scale=0.3)[..., 0]
    wide, high = (np.sqrt(mean_of((axis - 15.5) ** 2, out)) / 3 for axis in (X, Y))
    for ratio in (wide, high):
        assert ratio.min() > 1 / 1.3 - 0.03
        assert ratio.max() < 1.3 + 0.05
        assert ratio.min() < 0.85
        assert ratio.max() > 1.17
    assert abs(np.corrcoef(wide, high)[0, 1]) < 0.5


def test_shear_slants():
    out = augmented(repeated(blob(wide=1.5, high=5)), shear=0.3)[..., 0]
    slant = mean_of((X - 15.5) * (Y - 15.5), out) / mean_of((Y - 15.5) ** 2, out)
    assert np.abs(slant).max() < 0.31
    assert slant.min() < -0.2
    assert slant.max() > 0.2


def test_elastic_moves_pixels_smoothly_and_not_far():
    ramp = repeated(X / (SIDE - 1))
    moved = (augmented(ramp, elastic=0.06) - ramp)[:, 6:-6, 6:-6, 0] * (SIDE - 1) / SIDE
    assert np.abs(moved).max() < 0.06 * 1.3  # bicubic curves overshoot their knots a little
    assert 0.012 < moved.std() < 0.05
    assert np.abs(np.diff(moved, axis=2)).max() * SIDE < 1  # less than a pixel a pixel: no folds
    assert (moved.std(axis=(1, 2)) > 0.005).all()  # local, not a shift


def test_flip_mirrors_about_half_of_them():
    picture = random_pictures(1)[0, :, :, 0]
    out = augmented(repeated(picture), flip=True)[..., 0]
    mirrored = np.array([np.allclose(one, picture[:, ::-1], atol=1e-5) for one in out])
    plain = np.array([np.allclose(one, picture, atol=1e-5) for one in out])
    assert (mirrored ^ plain).all()
    assert 0.25 < mirrored.mean() < 0.75


def test_stroke_thins_and_thickens_but_never_loses_a_line():
    line = blob(wide=1.5, high=60)
    out = augmented(repeated(line), stroke=1)[..., 0]
    width = out[:, SIDE // 2].sum(axis=1)
    before = line[SIDE // 2].sum()
    assert width.min() < 0.6 * before
    assert width.max() > 1.4 * before
    assert out.max(axis=(1, 2)).min() > 0.9
    assert out.min(axis=(1, 2)).max() < 0.1
    steepest = np.abs(np.diff(out, axis=2)).max(axis=(1, 2))
    assert steepest.max() > 2 * np.abs(np.diff(line, axis=1)).max()  # crisp pens among them


def test_stroke_treats_dark_lines_alike():
    line = repeated(1 - blob(wide=1.5, high=60))
    width = (1 - augmented(line, stroke=1)[..., 0])[:, SIDE // 2].sum(axis=1)
    before = 1.5 * np.sqrt(2 * np.pi)
    assert width.min() < 0.6 * before
    assert width.max() > 1.4 * before


def test_gamma_is_a_power_between_its_bounds():
    out = augmented(repeated(np.linspace(0.1, 0.9, SIDE) + 0 * Y), gamma=1.0)[..., 0]
    power = np.log(out) / np.log(np.linspace(0.1, 0.9, SIDE))
    assert np.ptp(power, axis=(1, 2)).max() < 1e-3
    exponents = np.log2(power[:, 0, 0])
    assert np.abs(exponents).max() <= 1.001
    assert exponents.min() < -0.7
    assert exponents.max() > 0.7


def test_noise_has_a_drawn_deviation_up_to_the_largest():
    deviation = augmented(np.full((PICTURES, SIDE, SIDE, 1), 0.5), noise=0.1).std(axis=(1, 2, 3))
    assert deviation.max() < 0.11
    assert deviation.max() > 0.08
    assert deviation.min() < 0.02


def test_blur_smooths_with_its_probability():
    checks = repeated((X + Y) % 2.0, 256)
    out = augmented(checks, blur=0.4)
    blurred = np.abs(out - checks).max(axis=(1, 2, 3)) > 1e-4
    assert abs(blurred.mean() - 0.4) < 0.13  # 4 standard errors
    contrast = np.ptp(out[blurred][:, 4:-4, 4:-4], axis=(1, 2, 3))
    assert contrast.min() < 0.2
    np.testing.assert_allclose(out[:, 4:-4, 4:-4].mean(axis=(1, 2, 3)), 0.5, atol=1e-4)
