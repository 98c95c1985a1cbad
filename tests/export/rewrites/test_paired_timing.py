"""The race on a clock that the test turns."""

import numpy as np
import pytest
from scipy import stats

from pocketvae.export.rewrites.paired_timing import CONFIDENCE, WORTHWHILE_SPEEDUP, Comparison, _bound_index, compare


class Machine:
    """Runs that take the time they are told to, on a clock of their own."""

    def __init__(self, disturbance=lambda: 0.0):
        self.now, self.disturbance, self.calls = 0.0, disturbance, 0

    def run(self, seconds):
        def once():
            self.calls += 1
            self.now += seconds + self.disturbance()

        return once

    def clock(self):
        return self.now


def test_the_speedup_is_the_ratio_of_the_times():
    machine = Machine()
    compared = compare(machine.run(2e-4), machine.run(1e-4), machine.clock)
    assert compared.baseline_s == pytest.approx(2e-4)
    assert compared.candidate_s == pytest.approx(1e-4)
    assert compared.speedup == pytest.approx(2)
    assert compared.is_worthwhile


@pytest.mark.parametrize("gain", [1.0, 1.04, 0.5])
def test_a_gain_below_the_limit_is_not_worthwhile(gain):
    machine = Machine()
    assert not compare(machine.run(gain * 1e-4), machine.run(1e-4), machine.clock).is_worthwhile


def test_a_busy_machine_does_not_turn_equals_into_a_gain():
    wins = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        machine = Machine(lambda rng=rng: rng.exponential(2e-4) if rng.random() < 0.7 else 0.0)
        wins += compare(machine.run(1e-4), machine.run(1e-4), machine.clock).is_worthwhile
    assert wins <= 200 * (1 - CONFIDENCE) * 3


def test_a_gain_is_seen_on_a_machine_that_is_interrupted():
    rng = np.random.default_rng(0)
    machine = Machine(lambda: 5e-3 if rng.random() < 0.1 else 0.0)
    assert compare(machine.run(1.5e-4), machine.run(1e-4), machine.clock).is_worthwhile


def test_slow_runs_are_timed_in_few_rounds():
    machine = Machine()
    compare(machine.run(1.0), machine.run(1.0), machine.clock)
    assert machine.calls <= 200


def test_runs_of_a_second_are_not_repeated_in_blocks():
    machine = Machine()
    assert compare(machine.run(1.2), machine.run(1.0), machine.clock).is_worthwhile
    assert machine.calls <= 30


def test_a_large_network_that_is_slower_is_dropped_early():
    machine = Machine()
    assert not compare(machine.run(1.0), machine.run(1.2), machine.clock).is_worthwhile
    assert machine.calls <= 14


def test_runs_of_seconds_are_timed_as_often_as_the_confidence_takes():
    machine = Machine()
    assert compare(machine.run(5.5), machine.run(5.0), machine.clock).is_worthwhile
    assert machine.calls == 16
    rng = np.random.default_rng(0)
    busy = Machine(lambda: 2.0 if rng.random() < 0.3 else 0.0)
    assert not compare(busy.run(5.5), busy.run(5.0), busy.clock).is_worthwhile


@pytest.mark.parametrize("gain", [1.0, 1.04, 0.5])
def test_a_run_of_seconds_that_can_no_longer_win_is_not_repeated(gain):
    machine = Machine()
    found = compare(machine.run(5.0 * gain), machine.run(5.0), machine.clock)
    assert not found.is_worthwhile
    assert found.speedup == pytest.approx(gain)
    assert machine.calls == 4


@pytest.mark.parametrize(("rounds", "index"), [(7, 0), (11, 1), (25, 6)])
def test_the_bound_is_the_one_of_the_sign_test(rounds, index):
    # P(Binomial(11, 1/2) <= 1) = 0.006, <= 2 = 0.033; P(Binomial(25, 1/2) <= 6) = 0.0073, <= 7 = 0.022.
    assert _bound_index(rounds) == index


def test_a_gain_counts_by_its_lower_bound():
    sure = Comparison(baseline_s=1, candidate_s=1, speedup=2, speedup_at_least=WORTHWHILE_SPEEDUP)
    unsure = Comparison(baseline_s=1, candidate_s=1, speedup=2, speedup_at_least=WORTHWHILE_SPEEDUP - 0.01)
    assert sure.is_worthwhile
    assert not unsure.is_worthwhile


@pytest.mark.parametrize("rounds", [7, 15, 40, 101])
def test_the_bound_is_that_of_scipy_s_test_of_a_median(rounds):
    found = stats.quantile_test(np.arange(rounds), p=0.5, alternative="greater").confidence_interval(CONFIDENCE)
    assert _bound_index(rounds) == found.low
