import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketvae.bundle.quantization import TrialRecord
from pocketvae.export.quantize.pareto import pareto_front


def trial(size, share, latency=1.0):
    return TrialRecord(size_bytes=size, errors={}, error_ratio=share, latency_s=latency)


def test_what_is_worse_in_everything_is_left_out():
    small, exact, worse = trial(10, 2.0), trial(20, 0.5), trial(30, 0.6)
    assert pareto_front([worse, exact, small]) == (small, exact)


def test_what_is_faster_stays_and_what_is_as_fast_does_not():
    reference = trial(10, 0.5, 1.0)
    assert pareto_front([reference, trial(20, 0.6, 0.5)]) == (reference, trial(20, 0.6, 0.5))
    assert pareto_front([reference, trial(20, 0.6, 0.97)]) == (reference,)


def test_equal_figures_are_shown_once():
    assert len(pareto_front([trial(10, 0.5), trial(10, 0.5)])) == 1


# Ties, near ties in time and clear differences.
figures = st.tuples(
    st.integers(1, 5), st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from([0.5, 0.98, 1.0, 1.04, 1.06, 2.0])
)


def is_beaten(one, other):
    """Whether `other` is no worse in size, error and time, and better in one; 5 per cent of time count as none."""
    no_worse = other.size_bytes <= one.size_bytes and other.error_ratio <= one.error_ratio
    better = other.size_bytes < one.size_bytes or other.error_ratio < one.error_ratio
    return no_worse and (other.latency_s * 1.05 < one.latency_s or (better and other.latency_s <= one.latency_s * 1.05))


@given(st.lists(figures, min_size=1, max_size=8))
def test_a_front_is_what_nothing_beats_smallest_first(values):
    trials = [trial(*figures) for figures in values]
    front = pareto_front(trials)
    shown = [(one.size_bytes, one.error_ratio) for one in front]
    assert shown == sorted(set(shown))
    for one in trials:
        beaten = any(is_beaten(one, other) for other in trials)
        if one in front:
            assert not beaten
        else:
            assert beaten or (one.size_bytes, one.error_ratio) in shown


@given(st.lists(figures, min_size=1))
def test_a_front_is_never_empty_and_holds_the_smallest_and_the_most_exact(values):
    trials = [trial(*figures) for figures in values]
    front = pareto_front(trials)
    assert min(one.size_bytes for one in front) == min(one.size_bytes for one in trials)
    assert min(one.error_ratio for one in front) == min(one.error_ratio for one in trials)


@pytest.mark.parametrize("order", list(itertools.permutations([(1, 0.9), (2, 0.5), (3, 0.5), (3, 0.1)])))
def test_the_order_of_the_trials_does_not_count(order):
    front = pareto_front([trial(*figures) for figures in order])
    assert [(one.size_bytes, one.error_ratio) for one in front] == [(1, 0.9), (2, 0.5), (3, 0.1)]


def test_the_chosen_variant_is_on_the_front_whatever_beats_it():
    better, chosen = trial(1, 0.1), trial(2, 0.5)
    assert pareto_front([better, chosen]) == (better,)
    assert pareto_front([better, chosen], chosen) == (better, chosen)
