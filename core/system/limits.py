"""Ceilings of the numbers that size native work, so that a slip of the keyboard is refused before a runtime acts on it.

Threads are checked against this machine. What takes memory that can be computed beforehand is checked against the
memory (`processes.guard.check_memory`). The rest has fixed ceilings, far above what is of use.
"""

from __future__ import annotations

from pocketvae.errors import SpecError
from pocketvae.system.environment import logical_cores

THREADS_PER_CORE = 4
# No machine that a target can be has more.
MOST_THREADS = 1024
# A file keeps memory for its largest batch, and a call takes an input of that size.
MOST_IN_BATCH = 4096
# The standard error of an estimate from so many is below a thousandth of what a network's training changes.
MOST_IMPORTANCE_SAMPLES = 1_000_000
# Of a number that becomes a float32.
LARGEST_FLOAT32 = 3.4e38
# A week.
LONGEST_TIME_LIMIT_S = 604_800.0


def check_threads(count: int, noun: str = "threads") -> None:
    """Checks a number of threads against this machine.

    Raises:
        SpecError: it is below 1, or above four for each core: more only wait for one another, and take memory.
    """
    check_number(count, noun, least=1)
    cores = logical_cores()
    if count > THREADS_PER_CORE * cores:
        raise SpecError(
            f"{noun} must be at most {THREADS_PER_CORE * cores}, {THREADS_PER_CORE} for each of this machine's "
            f"{cores} core{'s' if cores > 1 else ''}, got {count}"
        )


def check_number(value: int, noun: str, *, least: int = 1, most: int | None = None, reason: str = "") -> None:
    """Checks a number against a fixed range.

    Args:
        value: The number.
        noun: What it is, for the message.
        least: The smallest that is allowed.
        most: The largest; None for any.
        reason: Why there is a largest.

    Raises:
        SpecError: it is outside.
    """
    if value < least:
        raise SpecError(f"{noun} must be at least {least}, got {value}")
    if most is not None and value > most:
        raise SpecError(f"{noun} must be at most {most}, got {value}{f': {reason}' if reason else ''}")


def check_time_limit(seconds: float, noun: str) -> None:
    """Checks a time limit.

    Raises:
        SpecError: it is not a number above 0 and at most a week.
    """
    if not 0 < seconds <= LONGEST_TIME_LIMIT_S:
        raise SpecError(f"{noun} must be positive and at most {LONGEST_TIME_LIMIT_S:g} s, a week, got {seconds:g}")
