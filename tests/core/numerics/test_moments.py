"""Moments of blocks are those of all rows together, also far from zero."""

import numpy as np
import pytest

from pocketvae.numerics.moments import moments


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_blocks_give_what_numpy_gives_of_the_whole(offset):
    values = np.random.default_rng(0).normal(size=(1000, 7, 3)) * (1, 5, 0.01) + offset
    found = moments(np.split(values, [1, 10, 400]))
    columns = values.reshape(-1, 3)
    assert found.count == 7000
    np.testing.assert_allclose(found.mean, columns.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.deviation, columns.std(axis=0), rtol=1e-8)
    np.testing.assert_array_equal(found.low, columns.min(axis=0))
    np.testing.assert_array_equal(found.high, columns.max(axis=0))


def test_nothing_has_no_moments():
    with pytest.raises(ValueError, match="at least one block"):
        moments([])
