"""Sampling replayed in numpy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.models.sampling import NEVER, drawn, guided, least_certain, only_likely, still_hidden


def test_the_schedule_is_the_cosine():
    found = [still_hidden(step, 8, 64) for step in range(8)]
    wanted = [int(np.floor(64 * np.cos(np.pi / 2 * (step + 1) / 8) + 1e-9)) for step in range(8)]
    assert found == wanted == [62, 59, 53, 45, 35, 24, 12, 0]


@given(st.integers(1, 30), st.integers(0, 200))
def test_some_token_is_settled_at_each_step_and_all_at_the_end(steps, count):
    left = [count, *(still_hidden(step, steps, count) for step in range(steps))]
    assert left[-1] == 0
    assert all(after < before or before == 0 for before, after in zip(left, left[1:], strict=False))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31 - 1), st.floats(0.05, 0.999))
def test_top_p_keeps_the_smallest_set_that_reaches_p(seed, p):
    logits = np.random.default_rng(seed).normal(0, 2, (3, 9)).astype("float32")
    kept = np.asarray(only_likely(logits, top_p=p)) > NEVER / 2
    for row, mask in zip(logits.astype("float64"), kept, strict=True):
        shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        order = np.argsort(-shares)
        needed = 1 + int(np.sum(np.cumsum(shares[order])[:-1] < p - 1e-6))
        assert abs(mask.sum() - needed) <= (abs(np.cumsum(shares[order]) - p).min() < 1e-5)
        assert set(np.flatnonzero(mask)) == set(order[: mask.sum()])


def test_top_k_keeps_the_k_likeliest_and_nothing_is_cut_by_default():
    logits = np.array([[3.0, 1.0, 2.0, -1.0]], "float32")
    assert (np.asarray(only_likely(logits, top_k=2)) > NEVER / 2).tolist() == [[True, False, True, False]]
    np.testing.assert_array_equal(only_likely(logits), logits)
    np.testing.assert_array_equal(only_likely(logits, top_k=9), logits)


def test_guidance_goes_beyond_the_condition():
    with_it, without = np.array([2.0, 0.0]), np.array([1.0, 1.0])
    np.testing.assert_array_equal(guided(with_it, without, 0.0), with_it)
    np.testing.assert_array_equal(guided(with_it, without, 1.5), 2.5 * with_it - 1.5 * without)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_follow_the_softmax(temperature):
    logits = np.log(np.array([0.5, 0.3, 0.2]))
    seed = keras.random.SeedGenerator(1)
    found = np.asarray(drawn(np.tile(logits, (20_000, 1)).astype("float32"), temperature, seed))
    wanted = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    np.testing.assert_allclose(np.bincount(found, minlength=3) / 20_000, wanted, atol=0.015)


def test_no_temperature_takes_the_likeliest():
    assert np.asarray(drawn(np.array([[0.1, 0.3, 0.2]], "float32"), 0.0, None)).tolist() == [1]


def test_the_least_certain_hidden_tokens_stay_hidden():
    confidence = np.array([[0.1, 0.9, 0.2, 0.5], [0.1, 0.2, 0.3, 0.4]], "float32")
    hidden = np.array([[False, True, True, True], [True, True, True, True]])
    found = np.asarray(least_certain(confidence, hidden, np.array([2, 0], "int32")))
    assert found.tolist() == [[False, False, True, True], [False] * 4]
