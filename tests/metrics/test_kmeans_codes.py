import numpy as np

from vqmm.metrics import fit_kmeans_codes
from vqmm.metrics.scorers import unit


def test_finds_the_clusters_of_each_slot():
    rng = np.random.default_rng(0)
    centres = np.stack([np.eye(4), np.roll(np.eye(4), 1, axis=0)])
    truth = rng.integers(0, 4, (200, 2))
    vectors = centres[np.arange(2), truth] + 0.05 * rng.normal(size=(200, 2, 4))
    book = fit_kmeans_codes(vectors, 4)
    codes = book.encode(vectors)
    for slot in range(2):
        assert len({*zip(codes[:, slot], truth[:, slot], strict=True)}) == 4
    np.testing.assert_allclose(np.linalg.norm(book.tables, axis=-1), 1.0, rtol=1e-5)
    cosine = (book.values(codes) * unit(vectors)).sum(-1)
    assert cosine.min() > 0.95


def test_no_more_centres_than_points():
    vectors = np.repeat(np.eye(3)[:, None], 5, axis=0)
    assert fit_kmeans_codes(vectors, 16).tables.shape == (1, 3, 3)
