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


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0.1, 0.5, 1.0]), st.floats(0.5, 2)), min_size=1))
def test_a_front_is_never_empty_and_holds_the_smallest_and_the_most_exact(figures):
    trials = [trial(*values) for values in figures]
    front = pareto_front(trials)
    assert min(one.size_bytes for one in front) == min(one.size_bytes for one in trials)
    assert min(one.error_ratio for one in front) == min(one.error_ratio for one in trials)
