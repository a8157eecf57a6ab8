import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqmm.quantizers import FineCodes


def placed(slots=3, codes=5, dim=4, seed=0):
    layer = FineCodes(slots, codes, dim, name="fine")
    layer.tables.assign(np.random.default_rng(seed).normal(size=(slots, codes, dim)))
    return layer


@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 6), st.integers(0, 99))
def test_codes_are_the_nearest_rows_of_each_slots_own_table(slots, codes, dim, seed):
    layer = placed(slots, codes, dim, seed)
    left = np.random.default_rng(seed + 1).normal(size=(6, slots, dim)).astype("float32")
    tables = layer.tables.numpy()
    distances = ((left[:, :, None] - tables[None]) ** 2).sum(-1)
    found = np.array(layer(left))
    np.testing.assert_allclose(
        np.take_along_axis(distances, found[..., None], -1)[..., 0], distances.min(-1), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(
        layer.codes_to_values(found), tables[np.arange(slots)[None].repeat(6, 0), found]
    )


def test_rows_have_themselves_as_codes():
    layer = placed()
    rows = np.array([[0, 4, 2], [3, 3, 1]], "int32")
    np.testing.assert_array_equal(layer(layer.codes_to_values(rows)), rows)


def test_it_saves_and_loads_and_nothing_in_it_is_trained(tmp_path):
    layer = placed()
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "fine.keras")
    loaded = keras.saving.load_model(tmp_path / "fine.keras")
    left = np.random.default_rng(2).normal(size=(7, 3, 4)).astype("float32")
    np.testing.assert_array_equal(loaded(left), layer(left))
    assert not layer.trainable_variables and not loaded.trainable_variables


@pytest.mark.parametrize("sizes", [(0, 5, 4), (3, 0, 4), (3, 5, 0)])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(ValueError, match="1 or more"):
        FineCodes(*sizes)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 2, 4), (2, 12)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"take \(B, 3, 4\)"):
        placed()(np.zeros(shape, "float32"))
