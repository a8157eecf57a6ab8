import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from vqmm.metrics import CodeSharing

RNG = np.random.default_rng(1)
AUDIO, IMAGE = RNG.integers(5, 12, (12, 4)).astype("int32"), RNG.integers(7, 15, (12, 4)).astype("int32")


def told(metric):
    return {name: float(value) for name, value in metric.result().items()}


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_counts_over_batches(shape):
    metric, mask = CodeSharing(10, start=5), np.arange(12) % 5 != 0
    for part in np.split(np.arange(12), 3):
        metric.update_state(AUDIO[part].reshape(-1, *shape), IMAGE[part].reshape(-1, *shape), mask[part])
    a, i = AUDIO[mask], IMAGE[mask]
    p, q = (np.bincount(x.ravel() - 5, minlength=10) for x in (a, i))
    found = told(metric)
    assert found["agreement"] == pytest.approx((a == i).mean())
    assert found["overlap"] == pytest.approx(((p > 0) & (q > 0)).sum() / ((p > 0) | (q > 0)).sum())
    assert found["exclusive"] == pytest.approx(1 - found["overlap"])
    assert found["js_divergence"] == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-5)
    metric.reset_state()
    assert told(metric) == {"agreement": 0.0, "overlap": 0.0, "exclusive": 0.0, "js_divergence": 0.0}


def test_codes_outside_the_range_count_on_neither_side():
    metric = CodeSharing(4, start=8)  # 8 to 11
    metric.update_state(AUDIO, IMAGE)
    inside = [(side >= 8) & (side < 12) for side in (AUDIO, IMAGE)]
    both = inside[0] & inside[1]
    assert 0 < both.sum() < both.size and ((AUDIO == IMAGE) & both).any()
    assert told(metric)["agreement"] == pytest.approx((AUDIO == IMAGE)[both].mean())
    metric.reset_state()
    dropped = np.full((3, 2), -1, "int32")
    metric.update_state(dropped, dropped)
    assert told(metric)["agreement"] == 0.0


def test_equal_sides_and_apart():
    metric = CodeSharing(15)
    metric.update_state(AUDIO, AUDIO)
    assert told(metric) == pytest.approx(
        {"agreement": 1, "overlap": 1, "exclusive": 0, "js_divergence": 0}, abs=1e-6
    )
    metric.reset_state()
    metric.update_state(np.zeros((3, 2), "int32"), np.ones((3, 2), "int32"))
    assert told(metric) == pytest.approx(
        {"agreement": 0, "overlap": 0, "exclusive": 1, "js_divergence": 1}, abs=1e-6
    )


def test_round_trip_and_no_codes():
    copy = CodeSharing.from_config(CodeSharing(7, start=2, name="own").get_config())
    assert (copy.num_codes, copy.start, copy.name) == (7, 2, "own")
    with pytest.raises(ValueError, match="num_codes=0"):
        CodeSharing(0)
