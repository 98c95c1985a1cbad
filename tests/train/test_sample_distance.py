import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from pocketvae.train.sample_distance import kernel_distance, precision_and_recall

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.standard_normal((40, 5)), RNG.standard_normal((30, 5)) + 0.5


def test_the_kernel_distance_is_that_of_scikit_learns_kernel():
    xx, yy, xy = (polynomial_kernel(a, b, 3) for a, b in ((FIRST, FIRST), (SECOND, SECOND), (FIRST, SECOND)))
    expected = (xx.sum() - np.trace(xx)) / (40 * 39) + (yy.sum() - np.trace(yy)) / (30 * 29) - 2 * xy.mean()
    assert kernel_distance(FIRST, SECOND) == pytest.approx(expected, rel=1e-9)


def test_the_kernel_distance_is_unbiased():
    values = [kernel_distance(*np.random.default_rng(seed).standard_normal((2, 20, 4))) for seed in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(300)
    assert min(values) < 0


def test_precision_and_recall_are_those_of_scikit_learns_neighbours():
    def share(reference, asked):
        # A vector is its own nearest neighbour.
        radii = NearestNeighbors(n_neighbors=4).fit(reference).kneighbors(reference)[0][:, -1]
        distances = np.linalg.norm(asked[:, None] - reference[None], axis=-1)
        return (distances <= radii[None]).any(axis=1).mean()

    expected = share(FIRST, SECOND), share(SECOND, FIRST)
    assert precision_and_recall(FIRST, SECOND) == pytest.approx(expected)
    assert 0 < expected[1] < 1


def test_samples_of_one_kind_are_precise_and_recall_little():
    real = np.concatenate([RNG.standard_normal((50, 3)), RNG.standard_normal((50, 3)) + 100])
    precision, recall = precision_and_recall(real, RNG.standard_normal((100, 3)))
    assert precision > 0.8
    assert recall < 0.6
    assert precision_and_recall(real, real + 1000) == (0.0, 0.0)
