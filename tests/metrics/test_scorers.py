import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics.pairwise import cosine_similarity

from vqmm.metrics import (
    bag_of_codes,
    bag_of_codes_scorer,
    code_scorer,
    cosine_scorer,
    exact_scorer,
    pooled,
)

RNG = np.random.default_rng(0)
QUERIES, GALLERY = RNG.normal(size=(7, 4, 5)), RNG.normal(size=(9, 4, 5))
CODES = RNG.integers(0, 6, size=(9, 4))
BLOCK = slice(2, 5)


def per_slot_cosine(a, b):
    return np.mean([cosine_similarity(a[:, t], b[:, t]) for t in range(a.shape[1])], axis=0)


def test_cosine_is_the_mean_over_slots():
    expected = per_slot_cosine(QUERIES, GALLERY)[BLOCK]
    np.testing.assert_allclose(cosine_scorer(QUERIES, GALLERY)(BLOCK), expected, atol=1e-6)


def test_codes_score_as_their_vectors():
    table = RNG.normal(size=(6, 5))
    expected = per_slot_cosine(QUERIES, table[CODES])[BLOCK]
    np.testing.assert_allclose(code_scorer(QUERIES, CODES, table)(BLOCK), expected, atol=1e-6)


def test_codes_score_by_their_own_slots_table():
    tables = RNG.normal(size=(4, 6, 5))
    expected = per_slot_cosine(QUERIES, tables[np.arange(4), CODES])
    np.testing.assert_allclose(code_scorer(QUERIES, CODES, tables)(slice(0, 7)), expected, atol=1e-6)


def test_equal_codes_tie_exactly():
    codes = np.concatenate([CODES, CODES[::-1]])
    scores = code_scorer(QUERIES, codes, RNG.normal(size=(6, 5)))(slice(None))
    np.testing.assert_array_equal(scores[:, :9], scores[:, 9:][:, ::-1])


def test_exact_counts_equal_slots():
    queries = RNG.integers(0, 6, size=(7, 4))
    expected = (queries[BLOCK, None] == CODES[None]).sum(-1)
    np.testing.assert_array_equal(exact_scorer(queries, CODES)(BLOCK), expected)


def test_bag_agrees_with_sklearn_tf_idf():
    queries = RNG.integers(0, 30, size=(7, 12))
    gallery = RNG.integers(0, 30, size=(9, 16))
    counts = bag_of_codes(gallery, 30)
    tfidf = TfidfTransformer(smooth_idf=True).fit(counts)
    expected = cosine_similarity(tfidf.transform(bag_of_codes(queries, 30)), tfidf.transform(counts))
    found = bag_of_codes_scorer(queries, gallery, 30)(BLOCK)
    np.testing.assert_allclose(found, expected[BLOCK], atol=1e-6)


def test_pooled_is_one_unit_vector():
    found = pooled(QUERIES * np.arange(1, 8)[:, None, None])
    expected = (QUERIES / np.linalg.norm(QUERIES, axis=-1, keepdims=True)).mean(1)
    np.testing.assert_allclose(found[:, 0], expected / np.linalg.norm(expected, axis=-1)[:, None], atol=1e-6)


@pytest.mark.parametrize("scorer", [cosine_scorer, exact_scorer])
def test_slots_must_correspond(scorer):
    with pytest.raises(ValueError, match="3 slots against 4"):
        scorer(QUERIES[:, :3], GALLERY)
