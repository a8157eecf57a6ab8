import keras
import numpy as np
import pytest
from scipy import stats

from vqmm.metrics import CodeUsage
from vqmm.metrics.codes import entropy_ratio

CODES = np.random.default_rng(0).integers(5, 14, (12, 7)).astype("int32")


def test_counts_over_batches():
    metric = CodeUsage(10, start=5)
    for batch in np.split(CODES, 3):
        metric.update_state(batch)
    found = {name: float(value) for name, value in metric.result().items()}
    counts = np.bincount(CODES.ravel() - 5, minlength=10)
    assert found["usage"] == pytest.approx(np.mean(counts > 0))
    assert found["perplexity"] == pytest.approx(np.exp(stats.entropy(counts)), rel=1e-5)
    assert found["entropy_ratio"] == pytest.approx(stats.entropy(counts, base=10), rel=1e-5)
    metric.reset_state()
    assert float(metric.result()["usage"]) == 0.0


def test_one_code_is_used_evenly_as_the_offline_figure_says():
    metric = CodeUsage(1, start=3)
    metric.update_state(np.full((2, 4), 3, "int32"))
    found = {name: float(value) for name, value in metric.result().items()}
    counts = np.array([8])
    assert found == {"usage": 1.0, "perplexity": 1.0, "entropy_ratio": float(entropy_ratio(counts))}
    assert found["entropy_ratio"] == 1.0


def test_missing_items_and_other_ranges_do_not_count():
    metric = CodeUsage(3, start=6)
    metric.update_state(CODES, np.arange(12) < 4)
    counts = keras.ops.convert_to_numpy(metric.counts)
    np.testing.assert_array_equal(counts, np.bincount(CODES[:4].ravel(), minlength=20)[6:9])


def test_round_trip():
    copy = CodeUsage.from_config(CodeUsage(7, start=2, name="image_codes").get_config())
    assert (copy.num_codes, copy.start, copy.name) == (7, 2, "image_codes")


def test_refuses_no_codes():
    with pytest.raises(ValueError, match="num_codes=0"):
        CodeUsage(0)
