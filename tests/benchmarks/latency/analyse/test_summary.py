import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pocketvae.benchmarks.latency.analyse.summary import ratio_of_medians, round_medians, summarize


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=200))
def test_percentiles_are_ordered_and_inside_the_values(values):
    summary = summarize(values)
    slack = 1e-12
    assert min(values) - slack <= summary.median_s <= summary.p90_s + slack
    assert summary.p90_s <= summary.p99_s + slack <= max(values) + 2 * slack
    assert summary.mad_s >= 0
    for interval in (summary.median_interval_s, summary.p90_interval_s, summary.p99_interval_s):
        assert min(values) - slack <= interval.low <= interval.high <= max(values) + slack


def test_one_outlier_moves_neither_median_nor_deviation():
    steady = [1.0] * 99
    assert summarize([*steady, 1000.0]).median_s == 1.0
    assert summarize([*steady, 1000.0]).mad_s == 0.0


def test_figures_are_those_of_their_names():
    summary = summarize(list(range(101)))
    assert (summary.median_s, summary.p90_s, summary.p99_s, summary.mad_s) == (50.0, 90.0, 99.0, 25.0)


def test_every_interval_is_that_of_its_figure():
    summary = summarize(list(range(1001)))
    for figure, interval in (
        (summary.median_s, summary.median_interval_s),
        (summary.p90_s, summary.p90_interval_s),
        (summary.p99_s, summary.p99_interval_s),
    ):
        assert interval.low < figure < interval.high
        assert interval.high - interval.low < 80


def test_intervals_are_of_95_per_cent():
    # The median of n normal values is normal with the deviation 1.2533 / sqrt(n).
    rng = np.random.default_rng(3)
    intervals = [summarize(rng.normal(10.0, 1.0, 1000)).median_interval_s for _ in range(20)]
    width = np.mean([interval.high - interval.low for interval in intervals])
    assert width == pytest.approx(2 * 1.96 * 1.2533 / math.sqrt(1000), rel=0.08)


def test_thirty_values_are_not_few():
    assert "only 29 values" in summarize([1.0] * 29).warnings
    assert summarize([1.0] * 30).warnings == ()


def test_unstable_and_few_values_are_marked():
    assert summarize([1.0] * 50).warnings == ()
    noisy = summarize(list(np.linspace(1, 2, 50)))
    assert "half of the calls are more than" in noisy.warnings[0]
    assert "only 3 values" in summarize([1.0] * 3).warnings
    tail = summarize([1.0] * 40 + [2.0] * 10)
    assert tail.warnings[0] == "unstable: one call in ten takes 2.0 times the median"


def test_rounds_that_differ_make_the_interval_wide():
    rng = np.random.default_rng(0)
    alike = rng.normal(1.0, 0.02, (10, 30))
    drifting = alike * np.linspace(0.8, 1.2, 10)[:, None]
    steady, moving = (summarize(values.ravel(), rounds=10) for values in (alike, drifting))
    assert steady.warnings == ()
    assert "unstable: the median is known to +-" in moving.warnings[-1]
    # The same values taken as independent ones would look far more certain than they are.
    careless = summarize(drifting.ravel()).median_interval_s
    careful = moving.median_interval_s
    assert careful.high - careful.low > 2 * (careless.high - careless.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        values = rng.normal(1.0, 0.05, (10, 30)) + rng.normal(0.0, 0.05, (10, 1))
        interval = summarize(values.ravel(), rounds=10).median_interval_s
        held += interval.low <= 1.0 <= interval.high
    # Ten rounds make a percentile interval a little too narrow: 95 % becomes about 90 %.
    assert 165 <= held <= 198


def test_a_machine_that_slows_down_does_not_change_a_ratio():
    speed = np.linspace(1.0, 3.0, 10)[:, None]
    below = np.full((10, 30), 1e-3) * speed
    ratio = ratio_of_medians((2 * below).ravel(), 10, below.ravel(), 10)
    assert ratio.value == pytest.approx(2.0)
    assert (ratio.interval.low, ratio.interval.high) == (pytest.approx(2.0), pytest.approx(2.0))


def test_a_wild_value_does_not_move_a_ratio():
    ratio = ratio_of_medians([2.0, 2.0, 50.0], 3, [1.0, 1.0, 1.0], 3)
    assert ratio.value == 2.0


def test_a_ratio_of_different_rounds_is_taken_too():
    ratio = ratio_of_medians([3.0] * 30, 3, [1.0] * 50, 5)
    assert ratio.value == 3.0


def test_medians_of_rounds():
    assert list(round_medians([1.0, 2.0, 3.0, 7.0, 8.0, 9.0], 2)) == [2.0, 8.0]


def test_values_that_do_not_fill_their_rounds_are_rounds_of_their_own():
    assert list(round_medians([1.0, 2.0, 3.0], 2)) == [1.0, 2.0, 3.0]


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="at least one value"):
        summarize([])


def test_the_deviation_and_the_interval_are_those_of_scipy():
    values = np.random.default_rng(3).lognormal(0, 0.2, 200)
    summary = summarize(values)
    assert summary.mad_s == stats.median_abs_deviation(values)
    bootstrap = stats.bootstrap((values,), np.median, n_resamples=20_000, method="percentile", rng=0)
    low, high = bootstrap.confidence_interval
    # A 2.5 % quantile of 400 resamples has a standard error of 0.13 sigma, 0.034 of the interval's width of 3.9 sigma;
    # four of them are allowed.
    slack = 0.14 * (high - low)
    assert summary.median_interval_s.low == pytest.approx(low, abs=slack)
    assert summary.median_interval_s.high == pytest.approx(high, abs=slack)
