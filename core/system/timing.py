"""Timing of calls: warm-ups, loops that are long enough for the clock, calls at a fixed rate."""

from __future__ import annotations

import time
from collections.abc import Callable

# A value shorter than this is too close to the clock's own cost (some 50 ns) to be accurate to half a percent.
_SHORTEST_VALUE_S = 20e-6
_MOST_LOOPS = 1024


def calibrate_loops(call: Callable[[], object]) -> int:
    """Returns how many calls one value has to hold, a power of two; 1 for anything that takes 20 microseconds."""
    loops = 1
    while loops < _MOST_LOOPS and min(time_values(call, loops=loops, count=3)) * loops < _SHORTEST_VALUE_S:
        loops *= 2
    return loops


def time_values(call: Callable[[], object], *, loops: int, count: int) -> list[float]:
    """Returns `count` values in seconds per call, each the mean of `loops` calls."""
    values = []
    for _ in range(count):
        started = time.perf_counter()
        for _ in range(loops):
            call()
        values.append((time.perf_counter() - started) / loops)
    return values


def time_first_calls(call: Callable[[], object], *, count: int, limit_s: float) -> list[float]:
    """Returns seconds of up to `count` calls one by one; the call that passes `limit_s` in all is the last."""
    values: list[float] = []
    while len(values) < count and sum(values) < limit_s:
        values += time_values(call, loops=1, count=1)
    return values


def time_paced(call: Callable[[], object], *, calls_per_s: float, count: int) -> list[float]:
    """Returns seconds of `count` calls that begin at a fixed rate, the process asleep between them.

    A call that takes longer than the period delays the next one; no call is left out to catch up.
    """
    values = []
    due = time.perf_counter()
    for _ in range(count):
        time.sleep(max(0.0, due - time.perf_counter()))
        values += time_values(call, loops=1, count=1)
        due = max(due + 1 / calls_per_s, time.perf_counter())
    return values
