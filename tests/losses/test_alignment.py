"""Alignment losses against plain numpy and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp, softmax

from vqmm import losses


def unit(seed, *shape):
    x = np.random.default_rng(seed).normal(size=shape).astype("float32")
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_contrastive_is_cross_entropy_over_the_present_pairs():
    audio, image = unit(0, 6, 3, 4), unit(1, 6, 3, 4)
    paired = np.array([True, True, False, True, True, False])
    logits = np.einsum("itd,jtd->ij", audio[paired], image[paired]) / 3 / 0.2
    expected = 0.5 * (logsumexp(logits, 1) + logsumexp(logits, 0)) - np.diag(logits)
    value = losses.contrastive_loss(audio, image, paired, 0.2)
    assert float(value) == pytest.approx(expected.mean(), rel=1e-4)


def test_contrastive_floor_is_log_of_the_same_class_items():
    codes = np.repeat(unit(2, 4, 2, 8), 5, axis=0)
    value = losses.contrastive_loss(codes, codes, np.ones(20, bool), 0.01)
    assert float(value) == pytest.approx(np.log(5), abs=1e-3)


@settings(max_examples=25)
@given(seed=st.integers(0, 99), absent=st.integers(0, 5))
def test_sinkhorn_balances_codes(seed, absent):
    scores = np.random.default_rng(seed).uniform(-1, 1, size=(40, 2, 5)).astype("float32")
    mask = np.arange(40) >= absent
    plan = np.array(losses.sinkhorn(scores, mask, epsilon=0.5, rounds=50))
    np.testing.assert_allclose(plan[mask].sum(-1), 1.0, atol=1e-4)
    np.testing.assert_allclose(plan.sum(0), (40 - absent) / 5, rtol=1e-2)
    assert (plan[~mask] == 0).all()


def test_swapped_loss_follows_numpy():
    audio, image = unit(3, 8, 2, 5), unit(4, 8, 2, 5)
    paired = np.arange(8) != 2
    plans = [np.array(losses.sinkhorn(x, paired, 0.1, 3)) for x in (audio, image)]
    crossed = -(plans[0] * log_softmax(image / 0.2, -1) + plans[1] * log_softmax(audio / 0.2, -1)).sum(-1)
    expected = 0.5 * crossed[paired].mean()
    value = losses.swapped_loss(audio, image, paired, temperature=0.2, epsilon=0.1, rounds=3)
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_agreement_follows_numpy():
    audio, image = unit(11, 8, 2, 5), unit(12, 8, 2, 5)
    paired = np.arange(8) != 3
    p, q = (softmax(x[paired] / 0.2, -1) for x in (audio, image))
    use = 0.5 * (p + q).mean(0)
    expected = -np.log((p * q).sum(-1)).mean() + 0.7 * (use * np.log(use)).sum(-1).mean()
    value = losses.agreement_loss(audio, image, paired, temperature=0.2, spread=0.7)
    assert float(value) == pytest.approx(expected, rel=1e-4)


@settings(max_examples=30)
@given(groups=st.integers(2, 6), parts=st.integers(2, 4), spread=st.floats(0.1, 0.9))
def test_agreement_wants_as_many_codes_as_pairs_share(groups, parts, spread):
    """Each of G kinds of pairs on its own code beats fewer codes, and more that cannot agree."""
    kinds = np.tile(np.arange(groups), 24)
    rng = np.random.default_rng(groups)
    sides = [rng.integers(parts, size=len(kinds)) for _ in range(2)]

    def loss(audio, image):
        scores = [20.0 * np.eye(groups * parts, dtype="float32")[codes][:, None] for codes in (audio, image)]
        return float(losses.agreement_loss(*scores, np.ones(len(kinds), bool), 1.0, spread))

    each = loss(kinds, kinds)
    assert each == pytest.approx(-spread * np.log(groups), abs=1e-3)
    assert each < loss(kinds // 2, kinds // 2)
    assert each < loss(*(kinds * parts + side for side in sides))


def test_code_matching_follows_numpy():
    audio, image = unit(5, 7, 3, 6), unit(6, 7, 3, 6)
    p, q = (softmax(x / 0.1, -1).mean(1) for x in (audio, image))
    similarity = p @ np.log(q + 1e-10).T + np.log(p + 1e-10) @ q.T
    expected = 0.5 * (logsumexp(similarity, 1) + logsumexp(similarity, 0)) - np.diag(similarity)
    value = losses.code_matching_loss(audio, image, np.ones(7, bool), 0.1)
    assert float(value) == pytest.approx(expected.mean(), rel=1e-4)


def test_cross_commitment_pulls_to_the_partner():
    audio, image = unit(7, 4, 2, 3), unit(8, 4, 2, 3)
    paired = np.array([True, False, True, True])
    expected = 0.5 * (np.square(audio - 2 * image) + np.square(image - 2 * audio))[paired].mean()
    value = losses.cross_commitment_loss(audio, image, 2 * audio, 2 * image, paired)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_reconstruction_leaves_absent_items_out():
    x, y = unit(9, 4, 3, 3, 1), unit(10, 4, 3, 3, 1)
    mask = np.array([True, False, False, True])
    error = (x - y)[mask]
    value = losses.reconstruction_loss(x, y, mask)
    assert float(value) == pytest.approx(np.abs(error).mean() + np.square(error).mean(), rel=1e-5)
    assert float(losses.reconstruction_loss(x, y, np.zeros(4, bool))) == 0.0
