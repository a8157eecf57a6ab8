"""The map against principal components by hand."""

import numpy as np
import pytest

from vqmm.app.code_map import code_map


def test_points_are_the_first_two_principal_components():
    table = np.random.default_rng(0).normal(size=(40, 9)).astype("float32")
    usage = np.arange(40)
    made = code_map(table, usage)
    centred = table.astype("float64") - table.mean(axis=0, dtype="float64")
    spread, directions = np.linalg.eigh(centred.T @ centred)
    expected = centred @ directions[:, ::-1][:, :2]
    signs = np.sign((made.points * expected).sum(axis=0))  # a component may point either way
    np.testing.assert_allclose(made.points, expected * signs, atol=1e-6)
    assert made.share == pytest.approx(spread[-2:].sum() / spread.sum())
    assert made.usage is usage


@pytest.mark.parametrize("table", [np.ones((1, 4)), np.ones((3, 4)), np.array([[0.0], [2.0]])])
def test_a_codebook_without_two_directions_has_a_map(table):
    made = code_map(table.astype("float32"), np.zeros(len(table), int))
    assert made.points.shape == (len(table), 2) and made.share == pytest.approx(1)
    np.testing.assert_allclose(
        np.linalg.norm(made.points, axis=1), np.linalg.norm(table - table.mean(0), axis=1)
    )


def test_the_explorers_map_counts_the_codes_of_the_index(explorer):
    codes = explorer.index.codes() - explorer.index.first
    np.testing.assert_array_equal(explorer.map.usage, np.bincount(codes.ravel(), minlength=4))
