import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.retrieval.query_expansion import expanded

TABLE = np.random.default_rng(0).normal(size=(30, 6)).astype("float32")
TABLE /= np.linalg.norm(TABLE, axis=1, keepdims=True)


def replayed(code, neighbours, temperature):
    cosines = [float(TABLE[code] @ other) for other in TABLE]
    best = sorted(range(len(TABLE)), key=lambda i: -cosines[i])[:neighbours]
    mixed = sum(np.exp(cosines[i] / temperature) * TABLE[i].astype("float64") for i in best)
    return mixed / np.linalg.norm(mixed)


@pytest.mark.parametrize("neighbours, temperature", [(1, 0.1), (5, 0.1), (8, 0.5), (30, 0.2), (99, 0.2)])
def test_each_slot_is_the_weighted_mean_of_its_neighbours(neighbours, temperature):
    codes = np.random.default_rng(1).integers(0, 30, (7, 3))
    found = expanded(codes, TABLE, neighbours, temperature)
    assert found.shape == (7, 3, 6) and found.dtype == np.float32
    for row, line in enumerate(codes):
        for slot, code in enumerate(line):
            np.testing.assert_allclose(found[row, slot], replayed(code, neighbours, temperature), atol=1e-5)


def test_a_cold_query_is_the_code_itself():
    codes = np.arange(30)[:, None]
    np.testing.assert_allclose(expanded(codes, TABLE, 8, 1e-3), TABLE[codes], atol=1e-5)
    np.testing.assert_allclose(expanded(codes, TABLE, 1), TABLE[codes], atol=1e-6)


def test_a_code_among_near_ones_gains_on_a_lone_one():
    # 60 degrees to either side of code 0, but on one side code 3 speaks for code 1 as well.
    angles = np.deg2rad([0, 60, -60, 50])
    table = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")
    plain, soft = (expanded([[0]], table, n, 0.5)[0, 0] @ table.T for n in (1, 4))
    assert plain[1] == pytest.approx(plain[2], abs=1e-6)
    assert soft[1] > soft[2] + 0.1


@pytest.mark.parametrize("neighbours, temperature", [(0, 0.1), (3, 0.0), (3, float("nan"))])
def test_what_makes_no_sense_is_refused(neighbours, temperature):
    with pytest.raises(UserError, match="neighbours="):
        expanded([[0]], TABLE, neighbours, temperature)
