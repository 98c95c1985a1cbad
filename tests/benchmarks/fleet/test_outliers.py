"""Devices that are not like the others of their model."""

import numpy as np
import pytest

from pocketvae.benchmarks.fleet.outliers import FEWEST_DEVICES, outliers_of


def medians(values):
    return {f"d{number}": value for number, value in enumerate(values)}


def spread(count, sigma=0.03):
    return list(1e-3 * np.exp(sigma * np.random.default_rng(count).normal(size=count)))


@pytest.mark.parametrize("factor", [1.5, 1 / 1.5])
def test_one_that_is_slower_or_faster_is_named(factor):
    (found,) = outliers_of(medians([*spread(9), 1e-3 * factor]))
    assert found.device == "d9"
    assert found.ratio == pytest.approx(factor, rel=0.05)
    assert (found.score > 0) == (factor > 1)


def test_a_third_of_the_devices_cannot_hide_themselves():
    found = outliers_of(medians([*spread(8), *[2e-3, 2.1e-3, 2.2e-3, 9e-3]]))
    assert [item.device for item in found] == ["d11", "d10", "d9", "d8"]


def test_a_difference_of_a_few_percent_is_none_however_alike_the_others_are():
    assert outliers_of(medians([1e-3, 1.0001e-3, 1e-3, 1.0002e-3, 1e-3, 1e-3, 1.08e-3])) == ()
    assert outliers_of(medians([1e-3] * 8)) == ()
    assert [item.device for item in outliers_of(medians([1e-3] * 7 + [2e-3]))] == ["d7"]


def test_of_few_devices_none_is_named():
    values = [1e-3] * (FEWEST_DEVICES - 2) + [9e-3]
    assert outliers_of(medians(values)) == ()
    assert len(outliers_of(medians([*values, 1e-3]))) == 1


def test_normal_spread_seldom_names_one():
    rng = np.random.default_rng(0)
    named = sum(bool(outliers_of(medians(np.exp(0.05 * rng.normal(size=12))))) for _ in range(500))
    assert named <= 25
