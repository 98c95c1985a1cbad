"""Paired timing: which of two runs is faster, on a machine that may be busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, comb

import numpy as np
import numpy.typing as npt

_WARMUPS = 3
# Shorter than the turns in which a busy machine runs its processes, so that some blocks are not interrupted.
_BLOCK_S = 0.0003
_BLOCKS = 6
_MOST_ROUNDS, _FEWEST_ROUNDS = 25, 11
_LIMIT_S = 4.0
# Runs of a large network are longer than the turns of a busy machine, so that one block of them is like another.
_FEWEST_BLOCKS = 1
# A run that takes longer is timed in as few rounds as `CONFIDENCE` takes, and warmed up once.
LONG_S, _FEWEST_LONG_ROUNDS = 1.0, 7
CONFIDENCE = 0.99
# A rewrite that gains less is not worth a file that differs from the stock one.
WORTHWHILE_SPEEDUP = 1.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs, timed in turns.

    Attributes:
        baseline_s: Seconds of one run, median over rounds.
        candidate_s: The same of the other.
        speedup: Median over rounds of baseline by candidate.
        speedup_at_least: Lower bound of that median, at `CONFIDENCE`.
    """

    baseline_s: float
    candidate_s: float
    speedup: float
    speedup_at_least: float

    @property
    def is_worthwhile(self) -> bool:
        """Whether the candidate is proven to be faster by enough."""
        return self.speedup_at_least >= WORTHWHILE_SPEEDUP


def compare(
    baseline: Callable[[], object], candidate: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> Comparison:
    """Times two runs in rounds of both, so that a busy moment meets both.

    A value is the fastest of some short blocks. Ratios are taken within a round; the bound is the distribution-free one
    of a median, from order statistics.

    Args:
        baseline: Runs once.
        candidate: Runs once.
        clock: Seconds.
    """
    runs = baseline, candidate
    once = 0.0
    for number, run in enumerate(runs * _WARMUPS):
        start = clock()
        run()
        once = max(once, clock() - start)
        if number and once > _LIMIT_S / _FEWEST_ROUNDS:
            break
    if once > LONG_S:
        return _compared(runs, (1, 1), 1, _FEWEST_LONG_ROUNDS, clock)
    blocks = int(np.clip(_LIMIT_S / (2 * _FEWEST_ROUNDS * max(once, 1e-9)), _FEWEST_BLOCKS, _BLOCKS))
    counts = [max(1, ceil(_BLOCK_S / max(_fastest(run, 1, blocks, clock), 1e-9))) for run in runs]
    start = clock()
    for run, count in zip(runs, counts, strict=True):
        _fastest(run, count, blocks, clock)
    rounds = int(np.clip(_LIMIT_S / max(clock() - start, 1e-9), _FEWEST_ROUNDS, _MOST_ROUNDS))
    return _compared(runs, counts, blocks, rounds, clock)


def _compared(
    runs: tuple[Callable[[], object], Callable[[], object]],
    counts: Sequence[int],
    blocks: int,
    rounds: int,
    clock: Callable[[], float],
) -> Comparison:
    """Returns what that many rounds say, of as many blocks each in which a run is called so often."""
    times = np.empty((rounds, 2))
    for number in range(rounds):
        for index in (0, 1) if number % 2 else (1, 0):
            times[number, index] = _fastest(runs[index], counts[index], blocks, clock)
        if _is_hopeless(times[: number + 1], rounds):
            times = times[: number + 1]
            break
    ratios = np.sort(times[:, 0] / times[:, 1])
    baseline_s, candidate_s = np.median(times, axis=0)
    return Comparison(
        baseline_s=float(baseline_s),
        candidate_s=float(candidate_s),
        speedup=float(np.median(ratios)),
        speedup_at_least=float(ratios[_bound_index(len(times))]) if len(times) == rounds else float(ratios[0]),
    )


def _is_hopeless(times: npt.NDArray[np.float64], rounds: int) -> bool:
    """Whether long runs have lost so many of all rounds that the rest cannot prove the candidate to be worthwhile."""
    lost = int(np.count_nonzero(times[:, 0] < times[:, 1] * WORTHWHILE_SPEEDUP))
    return float(times.sum()) > _LIMIT_S / 2 and lost > _bound_index(rounds)


def _fastest(run: Callable[[], object], count: int, blocks: int, clock: Callable[[], float]) -> float:
    """Returns seconds of one run in the fastest of some blocks: what disturbs a run only ever adds to it."""
    fastest = float("inf")
    for _ in range(blocks):
        start = clock()
        for _ in range(count):
            run()
        fastest = min(fastest, (clock() - start) / count)
    return fastest


def _bound_index(rounds: int) -> int:
    """Returns which of the sorted values the median is not below, at `CONFIDENCE`."""
    tail, index = 0.0, 0
    while (tail := tail + comb(rounds, index) / 2**rounds) <= 1 - CONFIDENCE:
        index += 1
    return max(0, index - 1)
