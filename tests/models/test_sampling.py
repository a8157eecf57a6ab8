"""Sampling replayed in numpy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.models.sampling import drawn, guided, least_certain, only_likely, still_hidden


def test_the_schedule_is_the_cosine():
    found = [still_hidden(step, 8, 64) for step in range(8)]
    wanted = [int(np.floor(64 * np.cos(np.pi / 2 * (step + 1) / 8) + 1e-9)) for step in range(8)]
    assert found == wanted == [62, 59, 53, 45, 35, 24, 12, 0]


@given(st.integers(1, 30), st.integers(0, 200))
def test_some_token_is_settled_at_each_step_and_all_at_the_end(steps, count):
    left = [count, *(still_hidden(step, steps, count) for step in range(steps))]
    assert left[-1] == 0
    assert all(after < before or before == 0 for before, after in zip(left, left[1:], strict=False))


@settings(max_examples=30)
@given(st.integers(0, 2**31 - 1), st.floats(0.05, 0.999))
def test_top_p_keeps_the_smallest_set_that_reaches_p(seed, p):
    logits = np.random.default_rng(seed).normal(0, 2, (3, 9)).astype("float32")
    kept = np.isfinite(only_likely(logits, top_p=p))
    for row, mask in zip(logits.astype("float64"), kept, strict=True):
        shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        order = np.argsort(-shares)
        needed = 1 + int(np.sum(np.cumsum(shares[order])[:-1] < p - 1e-6))
        assert abs(mask.sum() - needed) <= (abs(np.cumsum(shares[order]) - p).min() < 1e-5)
        assert set(np.flatnonzero(mask)) == set(order[: mask.sum()])


def test_top_k_keeps_the_k_likeliest_and_nothing_is_cut_by_default():
    logits = np.array([[3.0, 1.0, 2.0, -1.0]], "float32")
    assert np.isfinite(only_likely(logits, top_k=2)).tolist() == [[True, False, True, False]]
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


def shares_of(logits, temperature, top_k, top_p):
    """Probabilities by temperature, then top-k, then top-p, in float64."""
    scaled = logits.astype("float64") / temperature
    shares = np.exp(scaled - scaled.max())
    shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")
    if top_k:
        shares[order[top_k:]] = 0.0
        shares /= shares.sum()
    before = np.cumsum(shares[order]) - shares[order]
    shares[order[1:][before[1:] >= top_p]] = 0.0
    return shares / shares.sum()


def rows_drawn(logits, count, temperature, top_k=0, top_p=1.0, seed=1):
    generator = keras.random.SeedGenerator(seed)
    return np.asarray(drawn(np.tile(logits, (count, 1)), temperature, generator, top_k, top_p))


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(0.5, 0, 0.8), (2.0, 0, 0.8), (2.0, 3, 0.75), (0.3, 2, 1.0), (1.0, 4, 0.9), (100.0, 3, 1.0)],
)
def test_samples_follow_temperature_then_top_k_then_top_p(temperature, top_k, top_p):
    logits = np.log(np.array([0.4, 0.3, 0.15, 0.1, 0.05], "float32"))
    wanted = shares_of(logits, temperature, top_k, top_p)
    found = np.bincount(rows_drawn(logits, 100_000, temperature, top_k, top_p), minlength=5) / 100_000
    assert (found[wanted == 0] == 0).all() and (found[wanted > 0] > 0).all()
    np.testing.assert_allclose(found, wanted, atol=0.008)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31 - 1),
    temperature=st.floats(1e-44, 1e9),
    top_k=st.integers(0, 9),
    top_p=st.floats(1e-6, 1.0),
)
def test_what_is_ruled_out_is_never_sampled(seed, temperature, top_k, top_p):
    logits = (np.random.default_rng(seed).permutation(9) * 0.75).astype("float32")  # well apart: no ties
    found = rows_drawn(logits, 200, temperature, top_k, top_p, seed)
    allowed = np.argsort(-logits)[: top_k or 9]
    assert set(found) <= set(allowed.tolist())
    if temperature > 1e-3:  # below, float64 itself ends
        wider = shares_of(logits, temperature, top_k, top_p + 1e-5)  # rounding may add the next one
        assert set(found) <= set(np.flatnonzero(wider).tolist())


def test_a_great_temperature_samples_evenly_from_what_top_k_left():
    logits = np.array([5.0, 4.0, 3.0, -40.0], "float32")
    found = np.bincount(rows_drawn(logits, 6000, 1e9, top_k=2), minlength=4) / 6000
    np.testing.assert_allclose(found, [0.5, 0.5, 0, 0], atol=0.03)


def test_no_temperature_takes_the_first_of_equal_choices():
    assert np.asarray(drawn(np.array([[0.1, 0.3, 0.3], [2, 2, 2]], "float32"), 0.0, None)).tolist() == [1, 0]


def test_no_temperature_takes_the_likeliest():
    assert np.asarray(drawn(np.array([[0.1, 0.3, 0.2]], "float32"), 0.0, None)).tolist() == [1]


def test_the_least_certain_hidden_tokens_stay_hidden():
    confidence = np.array([[0.1, 0.9, 0.2, 0.5], [0.1, 0.2, 0.3, 0.4]], "float32")
    hidden = np.array([[False, True, True, True], [True, True, True, True]])
    found = np.asarray(least_certain(confidence, hidden, np.array([2, 0], "int32")))
    assert found.tolist() == [[False, False, True, True], [False] * 4]
