import numpy as np
import pytest
import soxr
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.data.trim import trim_silence
from vqmm.export.graph_sound import percentile, resample, trim

RATE = 2000
TRIM = tf.function(
    lambda x: trim(x, RATE, 30.0), input_signature=[tf.TensorSpec((None,), tf.float32)], autograph=False
)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    stretches=st.lists(
        st.tuples(st.sampled_from([0.0, 1e-4, 3e-3, 0.1, 0.5]), st.integers(1, 600)), min_size=1, max_size=6
    ),
)
def test_the_graph_cuts_where_numpy_cuts(seed, stretches):
    rng = np.random.default_rng(seed)
    audio = np.concatenate([level * rng.standard_normal(n) for level, n in stretches]).astype(np.float32)
    np.testing.assert_array_equal(TRIM(audio), trim_silence(audio, RATE, 30.0))


def test_clicks_and_hiss_are_cut_off():
    rng = np.random.default_rng(0)
    audio = 0.003 * rng.standard_normal(4000).astype(np.float32)
    audio[300:310] = 0.9
    audio[2000:2800] += 0.3 * np.sin(np.arange(800), dtype=np.float32)
    found = TRIM(audio).numpy()
    assert 800 <= len(found) < 1600, len(found)
    np.testing.assert_array_equal(found, trim_silence(audio, RATE, 30.0))


@pytest.mark.parametrize("rate, target", [(44_100, 16_000), (8000, 16_000), (22_050, 8000)])
def test_resampling_agrees_with_soxr(rate, target):
    time = np.arange(int(0.7 * rate)) / rate
    top = 0.4 * min(rate, target)
    audio = sum(np.sin(2 * np.pi * f * time) for f in (100, 0.3 * top, top)).astype(np.float32) / 3
    audio *= np.hanning(len(audio)).astype(np.float32)
    found, expected = (
        resample(tf.constant(audio), tf.constant(rate), target),
        soxr.resample(audio, rate, target),
    )
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_what_lies_above_the_band_is_gone():
    audio = np.sin(2 * np.pi * 7000 * np.arange(16_000) / 16_000).astype(np.float32)
    found = resample(tf.constant(audio), tf.constant(16_000), 8000).numpy()
    assert np.abs(found[400:-400]).max() < 1e-3


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30), st.sampled_from([10.0, 50.0, 99.0]))
@settings(max_examples=40)
def test_percentiles_are_those_of_numpy(values, share):
    found = percentile(tf.constant(values, tf.float64), share)
    np.testing.assert_allclose(found, np.percentile(np.float64(values), share), rtol=1e-9, atol=1e-9)
