import itertools
import math

import numpy as np
import pytest
from scipy import stats

from pocketvae.benchmarks.latency.analyse.shift import _mann_whitney, paired_shift, pairs_needed, unpaired_shift


def test_pairs_needed_is_what_all_signs_alike_can_prove():
    assert pairs_needed(0.05) == 5
    assert pairs_needed(1 / 1024) == 10
    with pytest.raises(ValueError, match="at least 10 pairs are needed for the level 0.001, got 9"):
        paired_shift([1.0] * 9, 0.001)


def test_bounds_of_five_pairs_are_the_extreme_values():
    shift = paired_shift([1.0, 2.0, 3.0, 4.0, 100.0], 1 / 32)
    assert (shift.low, shift.high) == (1.0, 100.0)
    assert shift.estimate == 3.0


def test_signed_rank_bounds_are_those_of_all_signs():
    # Wilcoxon's statistic by brute force: a value lies outside the bound where its own test rejects it.
    rng = np.random.default_rng(0)
    values, alpha = rng.normal(0.3, 1.0, 9), 0.02
    averages = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2))
    sums = [sum(np.flatnonzero(signs) + 1) for signs in itertools.product([0, 1], repeat=9)]
    outside = max(k for k in range(46) if sum(s < k for s in sums) / 512 <= alpha)
    shift = paired_shift(values, alpha)
    assert shift.low == pytest.approx(averages[outside - 1])
    assert shift.high == pytest.approx(averages[-outside])


def test_mann_whitney_counts_every_order_once():
    for first, second in ((1, 1), (2, 3), (4, 4), (3, 5)):
        ways = _mann_whitney(first, second)
        assert sum(ways) == math.comb(first + second, first)
        by_hand = [0] * (first * second + 1)
        for places in itertools.combinations(range(first + second), first):
            by_hand[sum(place - rank for rank, place in enumerate(places))] += 1
        assert ways == by_hand


def test_two_samples():
    before, after = np.linspace(1.0, 1.1, 10), np.linspace(3.0, 3.1, 10)
    shift = unpaired_shift(before, after, 0.01)
    assert shift.estimate == pytest.approx(2.0)
    assert 1.9 <= shift.low < 2.0 < shift.high <= 2.1
    with pytest.raises(ValueError, match="2 and 2 values are too few"):
        unpaired_shift([1.0, 2.0], [1.0, 2.0], 0.01)


def test_bounds_hold_as_often_as_they_say():
    rng = np.random.default_rng(2)
    alpha, wrong = 0.1, 0
    for _ in range(500):
        wrong += paired_shift(rng.standard_t(2, 12), alpha).low > 0
    assert 25 <= wrong <= 70


def test_a_wild_value_moves_the_estimate_little():
    calm = [0.1, 0.11, 0.09, 0.1, 0.12, 0.08, 0.1, 0.1, 0.11, 0.09]
    assert paired_shift([*calm[:-1], 50.0], 0.01).estimate == pytest.approx(0.1, abs=0.02)


def test_two_samples_prove_as_much_as_their_orders_do():
    # One of 70 orders of four and four has all of one sample first.
    before, after = [1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0]
    assert unpaired_shift(before, after, 1 / 70).low == 7.0
    with pytest.raises(ValueError, match="4 and 4 values are too few"):
        unpaired_shift(before, after, 1 / 71)


@pytest.mark.parametrize("count", [10, 25])
def test_bounds_of_pairs_are_where_wilcoxon_s_test_of_scipy_turns(count):
    # Where the truth lies below a bound by the smallest step, scipy's exact one-sided p value is at most alpha; above
    # it, it is more. The step is far below the distance of two averages and far above float64's rounding.
    rng = np.random.default_rng(count)
    values, alpha, step = rng.normal(0.3, 1.0, count), 0.02, 1e-9

    def p_value(truth, alternative):
        return stats.wilcoxon(values - truth, alternative=alternative, method="exact").pvalue

    shift = paired_shift(values, alpha)
    assert p_value(shift.low - step, "greater") <= alpha < p_value(shift.low + step, "greater")
    assert p_value(shift.high + step, "less") <= alpha < p_value(shift.high - step, "less")


@pytest.mark.parametrize("sizes", [(10, 10), (7, 12)])
def test_bounds_of_two_samples_are_where_mann_whitney_s_test_of_scipy_turns(sizes):
    rng = np.random.default_rng(sizes[0])
    before, after, alpha, step = rng.normal(0, 1, sizes[0]), rng.normal(0.5, 1, sizes[1]), 0.02, 1e-9

    def p_value(truth, alternative):
        return stats.mannwhitneyu(after - truth, before, alternative=alternative, method="exact").pvalue

    shift = unpaired_shift(before, after, alpha)
    assert p_value(shift.low - step, "greater") <= alpha < p_value(shift.low + step, "greater")
    assert p_value(shift.high + step, "less") <= alpha < p_value(shift.high - step, "less")
