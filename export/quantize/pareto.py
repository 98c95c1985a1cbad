"""The Pareto front of a search: variants that no other beats in size, error and time at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from pocketvae.bundle.quantization import TrialRecord
from pocketvae.export.quantize.measured import Inputs
from pocketvae.export.quantize.search import Trial
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format

# Medians of short runs differ by a few percent when nothing has changed.
_SAME_TIME = 1.05
# More variants are not all timed.
_FEW_TRIALS = 64
_ROUNDS = 3
_ROUND_S = 0.004
_WARM_UPS = 3


def pareto_front(trials: Sequence[TrialRecord], chosen: TrialRecord | None = None) -> tuple[TrialRecord, ...]:
    """Returns the variants that no other dominates, smallest first, each combination of figures once.

    The chosen one is always among them: ranges are chosen by the error on calibration samples, not on goldens.

    One dominates another if it is not larger, less exact or slower, and better in one of the three; differences in
    time below 5 percent do not count.
    """
    front = [one for one in trials if one is chosen or not any(_dominates(other, one) for other in trials)]
    unique = {(one.size_bytes, one.error_ratio): one for one in (*reversed(front), *filter(None, [chosen]))}
    return tuple(sorted(unique.values(), key=lambda one: (one.size_bytes, one.error_ratio)))


def worth_timing(trials: list[Trial], best: Trial) -> list[Trial]:
    """Returns what may be on the front; of many variants, those that no other beats in size, error and integers."""
    if len(trials) <= _FEW_TRIALS:
        return trials if best in trials else [*trials, best]

    def figures(trial: Trial) -> tuple[float, float, float]:
        return len(trial.content), trial.error_ratio, len(trial.plan.float_layers)

    def beaten(one: tuple[float, float, float]) -> bool:
        return any(other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in known)

    known = {figures(trial) for trial in trials}
    return [*(trial for trial in trials if trial is not best and not beaten(figures(trial))), best]


def latencies(format: Format, contents: Sequence[bytes], feed: Inputs) -> list[float]:
    """Returns the seconds of one call on one thread of each file: of rounds in which all take turns, the quietest.

    Args:
        format: Of the files.
        contents: The files.
        feed: One sample of each input, as the files take it.
    """
    rounds = [[_time_calls(format, content, feed) for content in contents] for _ in range(_ROUNDS)]
    # Other programs only ever make a round slower.
    return [float(value) for value in np.min(np.array(rounds), axis=0)]


def _time_calls(format: Format, content: bytes, feed: Inputs) -> float:
    with open_runner(content, format) as runner:
        call = runner.prepare({name: values.astype(runner.inputs[name].dtype) for name, values in feed.items()})
        for _ in range(_WARM_UPS):
            call()
        values: list[float] = []
        end = time.perf_counter() + _ROUND_S
        while not values or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            values.append(time.perf_counter() - start)
    return float(np.median(values))


def _dominates(one: TrialRecord, other: TrialRecord) -> bool:
    if one.size_bytes > other.size_bytes or one.error_ratio > other.error_ratio:
        return False
    if one.latency_s > other.latency_s * _SAME_TIME:
        return False
    better = one.size_bytes < other.size_bytes or one.error_ratio < other.error_ratio
    return better or one.latency_s * _SAME_TIME < other.latency_s
