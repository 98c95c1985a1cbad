import itertools

from pocketvae.system import timing


class Clock:
    """A clock that moves only when a call is made."""

    def __init__(self, call_s):
        self.now, self.call_s, self.calls = 0.0, call_s, 0

    def call(self):
        self.now += self.call_s
        self.calls += 1

    def perf_counter(self):
        return self.now


def test_values_are_seconds_per_call(monkeypatch):
    clock = Clock(0.003)
    monkeypatch.setattr(timing, "time", clock)
    values = timing.time_values(clock.call, loops=4, count=5)
    assert [round(value, 9) for value in values] == [0.003] * 5
    assert clock.calls == 20


def test_short_calls_are_looped_until_the_clock_can_see_them(monkeypatch):
    for call_s, expected in ((1e-3, 1), (20e-6, 1), (6e-6, 4), (1e-9, 1024)):
        clock = Clock(call_s)
        monkeypatch.setattr(timing, "time", clock)
        assert timing.calibrate_loops(clock.call) == expected


def test_every_value_is_kept(monkeypatch):
    clock = Clock(0.0)
    costs = itertools.cycle([1.0, 9.0])
    monkeypatch.setattr(timing, "time", clock)

    def call():
        clock.now += next(costs)

    assert timing.time_values(call, loops=1, count=4) == [1.0, 9.0, 1.0, 9.0]


class SleepingClock(Clock):
    """One whose sleep moves it, and remembers how long it slept."""

    def __init__(self, call_s):
        super().__init__(call_s)
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def test_paced_calls_begin_at_the_rate(monkeypatch):
    clock = SleepingClock(0.01)
    monkeypatch.setattr(timing, "time", clock)
    values = timing.time_paced(clock.call, calls_per_s=10, count=4)
    assert [round(value, 9) for value in values] == [0.01] * 4
    assert [round(seconds, 9) for seconds in clock.slept] == [0.0, 0.09, 0.09, 0.09]


def test_a_call_that_is_late_delays_the_next_and_none_is_left_out(monkeypatch):
    clock = SleepingClock(0.5)
    monkeypatch.setattr(timing, "time", clock)
    assert len(timing.time_paced(clock.call, calls_per_s=10, count=4)) == 4
    assert sum(clock.slept) == 0


def test_first_calls_end_after_the_count_or_the_time(monkeypatch):
    clock = Clock(0.1)
    monkeypatch.setattr(timing, "time", clock)
    assert len(timing.time_first_calls(clock.call, count=50, limit_s=100.0)) == 50
    assert len(timing.time_first_calls(clock.call, count=50, limit_s=0.35)) == 4
    assert len(timing.time_first_calls(clock.call, count=50, limit_s=0.01)) == 1
