import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from vqmm.metrics import bag_agreement, label_entropy, pair_agreement, pair_information
from vqmm.metrics.pairs import mutual_information

RNG = np.random.default_rng(0)


def test_agreement_and_its_chance():
    a, b = RNG.integers(0, 3, (200, 2)), RNG.integers(0, 4, (200, 2))
    found = pair_agreement(a, b, resamples=50)
    assert found.value == pytest.approx((a == b).mean()) and found.n == 200
    shuffled = np.mean([(a == b[RNG.permutation(200)]).mean() for _ in range(400)])
    assert found.chance == pytest.approx(shuffled, abs=0.005)


def test_bag_agreement_ignores_places():
    a = np.array([[2, 2, 0, 0], [0, 0, 1, 3]])
    b = np.array([[1, 1, 0, 0], [0, 0, 0, 6]])  # another number of tokens
    found = bag_agreement(a, b, resamples=20)
    assert found.value == pytest.approx((1.0 + 0.75) / 2) and found.n == 2
    assert 0.0 <= found.chance <= found.value


def test_bag_chance_is_that_of_shuffled_pairs():
    bags = np.eye(5)[RNG.integers(0, 5, 500)]
    found = bag_agreement(bags, bags, resamples=20)
    assert found.value == 1.0 and found.chance == pytest.approx(0.2, abs=0.03)


def test_information_agrees_with_sklearn():
    a = RNG.integers(0, 5, 300)
    b = np.where(RNG.random(300) < 0.5, a, RNG.integers(0, 5, 300))
    plain, _ = mutual_information(a, b)
    assert plain == pytest.approx(mutual_info_score(a, b) / np.log(2))


def test_correction_removes_the_bias_of_independent_codes():
    plain, corrected = zip(
        *(mutual_information(RNG.integers(0, 8, 500), RNG.integers(0, 8, 500)) for _ in range(50)),
        strict=True,
    )
    assert np.mean(plain) == pytest.approx(49 / (2 * 500 * np.log(2)), rel=0.15)
    assert np.mean(corrected) < 0.25 * np.mean(plain)


def test_information_of_equal_codes_is_their_entropy():
    codes = np.stack([np.tile(np.arange(4), 250), np.zeros(1000, int)], axis=1)
    found = pair_information(codes, codes)
    assert found.plain_per_slot == pytest.approx(1.0)
    assert found.best_slot == pytest.approx(2.0, abs=0.01)
    assert label_entropy(np.repeat(np.arange(8), 3)) == pytest.approx(3.0)
