"""Changes of level in series of figures."""

import numpy as np
import pytest

from pocketvae.benchmarks.trends.changes import change_points


def times(seed, *levels, count=20, deviation=0.03):
    rng = np.random.default_rng(seed)
    return [float(level * np.exp(deviation * rng.normal())) for level in levels for _ in range(count)]


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([0.1, 0.1, 0.1, 0.2, 0.2], (3,)),
        ([0.1, 0.1, 0.1001, 0.1001], ()),
        ([5.0, 5.0, 5.0, 0.0, 0.0, 5.0], (3, 5)),
        ([0.0, 0.0, 0.0, -1.0], (3,)),
        ([1.0, 2.0], (1,)),
        ([1.0, 1.5, 2.2, 2.2, 3.0], (1, 2, 4)),
        ([1.0], ()),
        ([], ()),
        ([3.0] * 50, ()),
    ],
)
def test_what_repeats_exactly_has_changed_where_it_is_another(values, places):
    assert change_points(values, is_exact=True) == places


@pytest.mark.parametrize("seed", range(5))
def test_a_slowdown_is_found_in_times_that_vary(seed):
    [place] = change_points(times(seed, 1.0, 1.1), is_exact=False)
    assert abs(place - 20) <= 2


def test_two_changes_are_two():
    first, second = change_points(times(0, 1.0, 1.3, 1.0), is_exact=False)
    assert abs(first - 20) <= 1
    assert abs(second - 40) <= 1


def test_chance_is_hardly_ever_a_change():
    assert sum(bool(change_points(times(seed, 1.0, 1.0), is_exact=False)) for seed in range(60)) <= 3


def test_a_small_change_is_none_however_clear():
    assert change_points(times(0, 1.0, 1.02, deviation=0.001), is_exact=False) == ()


def test_the_same_series_has_the_same_changes():
    series = times(3, 1.0, 1.04, count=12)
    assert len({change_points(series, is_exact=False) for _ in range(3)}) == 1
