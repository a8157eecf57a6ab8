"""Pictures are reduced by the mean of whole blocks and laid over their background."""

from __future__ import annotations

import numpy as np
import pytest

from vqmm.data.pixels import Pixels, flatten, reduction


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("shape", [(9, 12, 3), (10, 11, 1)])
def test_a_pixel_is_the_mean_of_its_block(dtype: type, alpha: bool, shape: tuple[int, int, int]) -> None:
    rng, full = np.random.default_rng(0), np.iinfo(dtype).max
    colour = rng.integers(0, full + 1, shape).astype(dtype)
    cover = rng.integers(0, full + 1, (*shape[:2], 1)).astype(dtype) if alpha else None
    found = flatten(Pixels(colour, cover), 3, dark=False)
    weight = np.ones((*shape[:2], 1)) if cover is None else cover / full
    laid = colour / full * weight + (1 - weight)  # over white first, then the mean: the same
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            block = laid[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            np.testing.assert_allclose(found[row, column], block.mean(axis=(0, 1)), atol=1e-6)
    assert found.shape == (-(-shape[0] // 3), -(-shape[1] // 3), shape[2])


def test_no_side_gets_below_the_least() -> None:
    assert [reduction(rows, 10, 1024) for rows in (5, 1024, 2047, 2048, 3000, 4096)] == [1, 1, 1, 2, 2, 4]


def test_black_on_nothing_is_laid_over_white() -> None:
    nothing = Pixels(np.zeros((4, 4, 3), np.uint8), np.eye(4, dtype=np.uint8)[:, :, None] * 255)
    for step in (1, 2):
        assert flatten(nothing, step, dark=True).max() >= 0.5
    white = nothing._replace(colour=nothing.colour + 255)
    np.testing.assert_array_equal(flatten(white, 1, dark=True)[:, :, 0], np.eye(4))
