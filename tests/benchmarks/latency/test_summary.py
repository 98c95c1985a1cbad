import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketvae.benchmarks.latency.summary import summarize


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=200))
def test_percentiles_are_ordered_and_inside_the_values(values):
    summary = summarize(values)
    slack = 1e-12
    assert min(values) - slack <= summary.median_s <= summary.p90_s + slack
    assert summary.p90_s <= summary.p99_s + slack <= max(values) + 2 * slack
    assert summary.mad_s >= 0


def test_one_outlier_moves_neither_median_nor_deviation():
    steady = [1.0] * 99
    assert summarize([*steady, 1000.0]).median_s == 1.0
    assert summarize([*steady, 1000.0]).mad_s == 0.0


def test_unstable_and_few_values_are_marked():
    assert summarize([1.0] * 50).warnings == ()
    noisy = summarize(list(np.linspace(1, 2, 50)))
    assert "unstable" in noisy.warnings[0]
    assert "only 3 values" in summarize([1.0] * 3).warnings


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="at least one value"):
        summarize([])
