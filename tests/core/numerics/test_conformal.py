"""Thresholds that hold a rate of false alarms."""

from statistics import NormalDist

import numpy as np
import pytest

from pocketvae.errors import DataError, SpecError
from pocketvae.numerics.conformal import check_rate, conformal_threshold, needed_items


def test_few_images_keep_the_stated_false_positive_rate_too():
    rng = np.random.default_rng(0)
    rate, draws = 0.05, 4000
    found = []
    for _ in range(draws):
        threshold = conformal_threshold(rng.normal(size=20), rate)
        found.append(1 - NormalDist().cdf(threshold))
    error = np.std(found) / np.sqrt(draws)
    assert np.mean(found) <= rate + error
    assert np.mean(found) > 0.8 * rate


def test_a_threshold_is_one_of_the_values():
    values = np.random.default_rng(0).permutation(100).astype(float)
    assert conformal_threshold(values, 0.05) == 95  # rank ceil(101 * 0.95) = 96
    assert conformal_threshold(values, 0.5) == 50
    assert conformal_threshold(values[:19], 0.05) == values[:19].max()
    assert conformal_threshold(np.arange(9.0), 0.1) == 8
    assert conformal_threshold(np.arange(9.0), 0.7) == 2  # 10 * (1 - 0.7) is 3.0000000000000004
    with pytest.raises(DataError, match="a false-positive rate of 0.05 needs at least 19 held-out images, got 18"):
        conformal_threshold(values[:18], 0.05)


def test_too_few_items_are_told_how_many_are_needed():
    assert needed_items(0.01) == 99
    check_rate(0.01, 99, "sequences")
    with pytest.raises(
        DataError, match="at least 99 held-out sequences, got 40: give more, or --false-positive-rate 0.025"
    ):
        check_rate(0.01, 40, "sequences", "more")
    with pytest.raises(SpecError, match="above 0 and below 1, got 1"):
        check_rate(1.0, 40, "sequences")
    with pytest.raises(DataError, match="got 0: give more$"):
        check_rate(0.01, 0, "sequences", "more")
