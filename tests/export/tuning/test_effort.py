from pocketvae.export.quantize.search import Search, Trial
from pocketvae.export.tuning.effort import Effort

SIZES = {f"layer{index}": 10 for index in range(12)}
WORK_S = 4.0


class Clock:
    """A clock that stands still until it is set forward."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def searched(*, attempt_s, time_limit_s, longest_s=100.0):
    """The plans that a search tries on a machine where an attempt takes so long, and its effort."""
    clock, tried = Clock(), []
    effort = Effort(time_limit_s, clock)

    def attempt(plan):
        effort.spend(WORK_S)
        clock.now_s += attempt_s
        tried.append(plan)
        error = 0.3 * sum(layer not in plan.float_layers for layer in SIZES)
        return Trial(plan=plan, content=b"", rmse=error, error_ratio=error)

    search = Search(SIZES, attempt, effort.limit(longest_s))
    search.sensitivities()
    search.run()
    return tried, effort


def test_a_busy_machine_tries_what_a_quiet_one_tries():
    quiet, _ = searched(attempt_s=0.1, time_limit_s=1e4)
    busy, effort = searched(attempt_s=90.0, time_limit_s=1e4)
    assert busy == quiet
    assert not effort.was_cut


def test_a_search_ends_with_the_work_that_it_may_do():
    tried, effort = searched(attempt_s=0.0, time_limit_s=1e4)
    more, _ = searched(attempt_s=0.0, time_limit_s=1e4, longest_s=1e4)
    assert len(tried) < len(more)
    assert 100 <= effort.done_s < 100 + 5 * WORK_S  # what is begun is finished


def test_a_search_ends_before_the_time_limit_would_end_the_conversion():
    tried, effort = searched(attempt_s=10.0, time_limit_s=100.0)
    assert len(tried) * 10.0 < 100.0
    assert effort.was_cut


def test_the_work_of_one_search_is_not_counted_against_the_next():
    effort = Effort()
    effort.spend(500.0)
    is_over = effort.limit(100.0)
    assert not is_over()
    effort.spend(101.0)
    assert is_over()
    assert not effort.was_cut
