import numpy as np
import pytest
from scipy import stats

from pocketvae.benchmarks.drift.statistics import (
    _student_quantile,
    largest_equal_distance,
    paired_change,
    squared_distance,
)


def test_the_interval_is_that_of_two_one_sided_tests():
    values = np.random.default_rng(0).normal(0.02, 0.3, 400)
    change = paired_change(values)
    half = 1.6487 * values.std(ddof=1) / 20
    assert (change.low, change.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-4)
    assert change.farthest == max(abs(change.low), abs(change.high))
    assert change.count == 400


def test_few_pairs_have_the_deviation_of_a_sample():
    change = paired_change(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert change.high - change.mean == pytest.approx(2.1318 * 2.5**0.5 / 5**0.5, abs=1e-4)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_farther_end_counts_on_either_side(sign):
    change = paired_change(sign * np.array([0.9, 1.0, 1.1, 1.2, 1.3]))
    assert change.farthest == pytest.approx(1.1 + 2.1318 * 0.025**0.5 / 5**0.5, abs=1e-4)


def test_student_s_quantile_is_scipy_s():
    degrees = (*range(1, 40), 127, 128, 2047, 9999)
    assert [_student_quantile(count) for count in degrees] == pytest.approx(stats.t.ppf(0.95, degrees), rel=1e-11)


@pytest.mark.parametrize("count", [5, 8, 25, 200])
def test_a_change_at_the_margin_is_taken_for_equivalent_in_one_of_twenty(count):
    rng = np.random.default_rng(1)
    # So small a deviation that the other side of the margin plays no part.
    passed = [paired_change(rng.normal(0.1, 0.02, count)).farthest <= 0.1 for _ in range(4000)]
    assert np.mean(passed) == pytest.approx(0.05, abs=0.011)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_fewer_than_five_pairs_show_nothing_however_alike(count):
    change = paired_change(np.zeros(count))
    assert (change.mean, change.farthest) == (0.0, np.inf)


def test_few_pairs_show_nothing():
    rng = np.random.default_rng(2)
    assert paired_change(rng.normal(0, 1, 10)).farthest > 0.1


def slow_distance(x, y):
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    n = len(x)
    within = sum(k(s[i], s[j]) for s in (x, y) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return within - 2 * sum(k(a, b) for a in x for b in y) / n**2


def test_the_distance_is_the_unbiased_estimate():
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=(12, 4)) for _ in range(2))
    assert squared_distance(x, y) == pytest.approx(slow_distance(x, y))


def test_the_null_is_what_equal_samples_reach_one_time_in_a_thousand():
    rng = np.random.default_rng(4)
    x, same = (rng.normal(size=(40, 3)) for _ in range(2))
    pooled = np.concatenate([x, same])
    orders = [np.random.default_rng(i).permutation(80) for i in range(300)]
    values = [slow_distance(pooled[order[:40]], pooled[order[40:]]) for order in orders]
    null = largest_equal_distance(x, same, 0)
    assert np.mean(np.array(values) > null) < 0.01
    assert null < 3 * np.quantile(values, 0.99)


def test_the_null_is_the_quantile_of_a_thousand_permutations():
    rng = np.random.default_rng(6)
    x, same = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    pooled = np.concatenate([x, same])
    draws = np.random.default_rng(11)
    orders = [draws.permutation(10) for _ in range(1000)]
    # The choice alone counts, not its order.
    halves = [(sorted(order[:5]), sorted(order[5:])) for order in orders]
    by_half = {}
    for one, rest in halves:
        by_half.setdefault(tuple(one), slow_distance(pooled[one], pooled[rest]))
    values = [by_half[tuple(one)] for one, _ in halves]
    assert largest_equal_distance(x, same, 11) == pytest.approx(np.quantile(values, 0.999))


def test_another_distribution_is_told_apart_and_an_equal_one_is_not():
    rng = np.random.default_rng(5)
    x, same, equal = (rng.normal(size=(300, 4)) for _ in range(3))
    largest = largest_equal_distance(x, same, 0)
    assert squared_distance(x, equal) < largest
    assert squared_distance(x, rng.normal(0.4, 1, size=(300, 4))) > largest


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(6).normal(0.02, 0.3, 100)
    change = paired_change(values)
    error = stats.sem(values)
    # Equal but for float64's rounding.
    assert (change.low, change.high) == pytest.approx(stats.t.interval(0.9, 99, values.mean(), error), rel=1e-10)


@pytest.mark.parametrize("mean", [0.0, 0.03, 0.06, 0.1])
def test_equivalence_is_shown_where_both_one_sided_tests_of_scipy_reject(mean):
    values = np.random.default_rng(7).normal(mean, 0.4, 400)
    tests = [
        stats.ttest_1samp(values, margin, alternative=side).pvalue
        for margin, side in ((-0.1, "greater"), (0.1, "less"))
    ]
    assert (paired_change(values).farthest <= 0.1) == (max(tests) <= 0.05)
