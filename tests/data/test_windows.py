from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from vqmm.data.windows import cut, loudest_start, window_start

SAMPLES = st.lists(st.integers(-32768, 32767), min_size=1, max_size=60).map(
    lambda values: np.array(values, np.int16)
)


def read(samples: np.ndarray, start: int, window: int) -> np.ndarray:
    """One window, by plain loops."""
    inside = range(len(samples))
    return np.array(
        [samples[p] / 32768 if p in inside else 0 for p in range(start, start + window)], "float32"
    )


@given(SAMPLES, st.integers(1, 70))
def test_the_loudest_window_has_the_most_energy(samples, window):
    starts = range(max(len(samples) - window, 0) + 1)
    energies = [int(np.sum(samples[s : s + window].astype(np.int64) ** 2)) for s in starts]
    assert int(loudest_start(tf.constant(samples), window)) == int(np.argmax(energies))


@given(SAMPLES, st.integers(1, 70), st.floats(-0.5, 0.5))
def test_a_window_stays_in_the_recording_or_centres_it(samples, window, jitter):
    loudest = int(loudest_start(tf.constant(samples), window))
    length = tf.constant(len(samples), tf.int64)
    start = int(window_start(tf.constant(loudest, tf.int64), length, window, tf.constant(jitter)))
    if len(samples) > window:
        assert 0 <= start <= len(samples) - window
        assert abs(start - loudest) <= window / 2 + 1
    else:
        before, after = -start, window - len(samples) + start
        assert 0 <= before - after <= 1


@given(st.lists(SAMPLES, min_size=1, max_size=4), st.integers(1, 40), st.data())
def test_cut_reads_each_recording_and_zeros_beyond(recordings, window, data):
    lengths = np.array([len(r) for r in recordings])
    starts = [data.draw(st.integers(-50, 70)) for _ in recordings]
    for kind in (tf.int32, tf.int64):
        got = cut(
            tf.constant(np.concatenate(recordings)),
            tf.constant(np.cumsum(lengths) - lengths, kind),
            tf.constant(lengths, tf.int64),
            tf.constant(starts, tf.int64),
            window,
        )
        want = [read(r, s, window) for r, s in zip(recordings, starts, strict=True)]
        np.testing.assert_array_equal(got.numpy(), np.stack(want))
