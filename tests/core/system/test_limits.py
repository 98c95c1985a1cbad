import pytest

from pocketvae.errors import SpecError
from pocketvae.system import limits


def test_threads_are_at_most_four_for_each_core(monkeypatch):
    monkeypatch.setattr(limits, "logical_cores", lambda: 2)
    limits.check_threads(1)
    limits.check_threads(8)
    with pytest.raises(SpecError, match="threads must be at most 8, 4 for each of this machine's 2 cores, got 100000"):
        limits.check_threads(100_000)
    with pytest.raises(SpecError, match="num_threads must be at least 1, got 0"):
        limits.check_threads(0, "num_threads")


def test_a_number_above_its_ceiling_is_told_the_reason():
    limits.check_number(4096, "a batch size", most=4096)
    with pytest.raises(SpecError, match="a batch size must be at most 4096, got 4097: a file keeps memory for it"):
        limits.check_number(4097, "a batch size", most=4096, reason="a file keeps memory for it")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_time_limit_that_the_system_cannot_wait_for_is_refused(seconds):
    with pytest.raises(SpecError, match="time_limit_s must be positive and at most 604800 s, a week"):
        limits.check_time_limit(seconds, "time_limit_s")
