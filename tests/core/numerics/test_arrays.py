"""Arrays of what callers pass, in groups, and compared without a copy of the whole."""

import numpy as np
import pytest

from pocketvae.errors import DataError
from pocketvae.numerics import chunks
from pocketvae.numerics.arrays import as_array, groups, mean_square_error


def test_what_is_no_array_of_numbers_is_named():
    kept = np.arange(3.0)
    assert as_array("z", kept) is kept
    assert as_array("z", [[1, 2]], np.float32).dtype == np.float32
    for values in ([[1, 2], [3]], "abc", [{}]):
        with pytest.raises(DataError, match="^z must be an array of numbers, all rows equally long, got "):
            as_array("z", values, np.float32)


def test_groups_hold_every_index_once_in_order():
    numbers = np.array([3, 1, 3, 0, 1, 3])
    assert [own.tolist() for own in groups(numbers)] == [[3], [1, 4], [0, 2, 5]]
    assert groups(numbers[:0]) == []


def test_the_mean_square_error_is_that_of_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    values, expected = rng.integers(0, 256, (2, 50, 4, 4, 1), np.uint8)
    whole = float(np.mean(np.square(values.astype(np.float64) - expected)))
    assert mean_square_error(values, expected) == whole
    monkeypatch.setattr(chunks, "_VALUES_AT_ONCE", 7 * 16)
    assert mean_square_error(values, expected) == pytest.approx(whole, rel=1e-12)
