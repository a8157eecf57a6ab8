"""Codes that are computed, not looked up, against numpy."""

import numpy as np
import pytest

from vqmm.quantizers import FSQ, LookupFree


def latents(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_fsq_is_that_of_numpy():
    """Equation by equation (Mentzer et al. 2023, appendix A.1), one latent and one axis at a time."""
    levels, x = (8, 5, 3, 2), 2 * latents(16, 50, 4)
    out = FSQ(levels)(x)
    for latent, values, code in zip(x, np.array(out.values), np.array(out.codes), strict=True):
        expected, basis = 0, 1
        for axis, count in enumerate(levels):
            half = (count - 1) * 1.001 / 2
            offset = 0.5 if count % 2 == 0 else 0.0
            whole = round(float(np.tanh(latent[axis] + np.arctanh(offset / half)) * half - offset))
            assert values[axis] == pytest.approx(whole / (count // 2), abs=1e-6)
            expected += (whole + count // 2) * basis
            basis *= count
        assert code == expected


@pytest.mark.parametrize("spherical", [False, True])
def test_lookup_free_codes_are_signs_read_as_a_number(spherical):
    x = latents(17, 50, 6)
    out = LookupFree(6, spherical=spherical)(x)
    bits = ["".join("1" if value > 0 else "0" for value in latent) for latent in x]
    np.testing.assert_array_equal(out.codes, [int(number, 2) for number in bits])
    np.testing.assert_allclose(out.values, np.sign(x) / (np.sqrt(6) if spherical else 1), atol=1e-6)
