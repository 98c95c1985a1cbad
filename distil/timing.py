"""The latency of two files in turns, so that a busy moment meets both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pocketvae.runtimes.base import Runner

Call = Callable[[], object]
# A block is long enough for the clock and short enough that most blocks meet no other process.
_BLOCK_S = 0.4e-3
_WARMUPS = 5


@dataclass(frozen=True, kw_only=True)
class InTurns:
    """Latencies of teacher and student in the same moments.

    Attributes:
        teacher_us: Lower quartile of one call, in microseconds.
        student_us: The same of the student.
    """

    teacher_us: float
    student_us: float

    @property
    def speedup(self) -> float:
        """How many times as fast the student is."""
        return self.teacher_us / self.student_us


def call_of(runner: Runner) -> Call:
    """Returns a call of a decoder with one latent of zeros and the first label."""
    feed = {name: np.zeros(spec.shape, spec.dtype) for name, spec in runner.inputs.items()}
    return runner.prepare(feed)


def time_in_turns(
    teacher: Call, student: Call, *, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> InTurns:
    """Times two calls in blocks by turns and returns the lower quartile of each.

    What disturbs a call only ever adds to it, so the lower quartile holds still where the median does not.

    Args:
        teacher: Runs the teacher's file once.
        student: The same of the student.
        rounds: Blocks of each.
        clock: Seconds.
    """
    calls = teacher, student
    loops = [_loops(call, clock) for call in calls]
    blocks = np.empty((rounds, 2))
    for number in range(rounds):
        for index in (0, 1) if number % 2 else (1, 0):
            blocks[number, index] = _block_s(calls[index], loops[index], clock)
    teacher_s, student_s = np.quantile(blocks, 0.25, axis=0)
    return InTurns(teacher_us=float(teacher_s) * 1e6, student_us=float(student_s) * 1e6)


def _loops(call: Call, clock: Callable[[], float]) -> int:
    once = min(_block_s(call, 1, clock) for _ in range(_WARMUPS))
    return max(1, round(_BLOCK_S / max(once, 1e-7)))


def _block_s(call: Call, loops: int, clock: Callable[[], float]) -> float:
    started = clock()
    for _ in range(loops):
        call()
    return (clock() - started) / loops
