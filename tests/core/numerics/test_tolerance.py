import math

import pytest

from pocketvae.numerics.tolerance import error_ratio, largest_error_ratio


@pytest.mark.parametrize(
    ("error", "limit", "ratio"),
    [(1.0, 4.0, 0.25), (5.0, 4.0, 1.25), (0.0, 0.0, 0.0), (1e-9, 0.0, math.inf), (math.inf, 1.0, math.inf)],
)
def test_an_error_is_compared_with_its_limit(error, limit, ratio):
    assert error_ratio(error, limit) == ratio


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_nan_never_looks_like_a_pass(limit):
    assert not error_ratio(math.nan, limit) <= 1
    for pairs in ([(math.nan, limit), (0.5, 1.0)], [(0.5, 1.0), (math.nan, limit)]):
        assert largest_error_ratio(pairs) == math.inf


def test_the_largest_counts():
    assert largest_error_ratio([(1.0, 4.0), (3.0, 4.0), (0.0, 0.0)]) == 0.75
    assert largest_error_ratio([]) == 0.0
