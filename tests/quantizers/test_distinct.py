"""Vectors that are the same but for rounding are one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.quantizers.distinct import distinct_groups


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 60), st.integers(0, 99))
def test_copies_are_counted_once_whatever_their_order_and_rounding(kinds, count, seed):
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(kinds, 8))
    chosen = rng.integers(kinds, size=count)
    vectors = places[chosen] * (1.0 + 1e-7 * rng.normal(size=(count, 8)))
    groups = distinct_groups(vectors.astype("float32"))
    same = groups[:, None] == groups[None]
    np.testing.assert_array_equal(same, chosen[:, None] == chosen[None])


def test_of_many_groups_only_as_many_as_matter_are_compared():
    vectors = np.random.default_rng(0).normal(size=(400, 3)).astype("float32")
    assert len(set(distinct_groups(np.concatenate([vectors, vectors]), most=2))) == 400
    assert distinct_groups(np.zeros((0, 3))).shape == (0,)
    assert set(distinct_groups(np.zeros((5, 3)))) == {0}
