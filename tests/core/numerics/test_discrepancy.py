import numpy as np
import pytest

from pocketvae.numerics.discrepancy import median_distance, mmd_squared


def test_samples_of_one_distribution_are_close_and_others_are_not():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 300, 4))
    assert median_distance(a) == pytest.approx(2.6, abs=0.2)
    assert abs(mmd_squared(a, b, 2.6)) < 0.01
    assert mmd_squared(a, b + 2, 2.6) > 0.3


def test_the_estimate_is_the_formula():
    a, b = np.array([[0.0], [1.0]]), np.array([[0.0], [3.0]])
    near, far = np.exp(-0.5), np.exp(-4.5)
    cross = (1 + far + near + np.exp(-2.0)) / 4
    assert mmd_squared(a, b, 1.0) == pytest.approx(near + far - 2 * cross)
    assert median_distance(b) == 3.0
