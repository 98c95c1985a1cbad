"""The benchmark's end of a worker: what is asked of it, with a time limit each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from pocketvae.benchmarks.latency.messages import (
    Examine,
    Examined,
    FindPeaks,
    Load,
    Loaded,
    Measure,
    Measured,
    Method,
    Pace,
)
from pocketvae.benchmarks.latency.results import MachinePeaks
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Client

WORKER_COMMAND: Sequence[str] = (sys.executable, "-Pm", "pocketvae.benchmarks.latency.measure.worker")
_TIME_LIMIT_S = 120.0


class BenchClient(Client):
    """A worker; every method raises a `PocketVaeError` where it dies, hangs or cannot do what it is asked."""

    def load(self, load: Load) -> Loaded:
        """Has something opened."""
        return self.call(Method.LOAD, load, Loaded, _TIME_LIMIT_S)

    def measure(self, measure: Measure) -> Measured:
        """Has one more block timed.

        Raises:
            HandleLostError: the worker that opened it has ended since.
        """
        return self.call(Method.MEASURE, measure, Measured, _TIME_LIMIT_S)

    def pace(self, pace: Pace, time_limit_s: float) -> Measured:
        """Has calls timed at a fixed rate.

        Raises:
            HandleLostError: the worker that opened it has ended since.
        """
        return self.call(Method.PACE, pace, Measured, time_limit_s)

    def examine(self, examine: Examine) -> Examined:
        """Has a file examined."""
        return self.call(Method.EXAMINE, examine, Examined, _TIME_LIMIT_S)

    def find_peaks(self, peaks: FindPeaks) -> MachinePeaks:
        """Has the machine's peaks measured."""
        return self.call(Method.FIND_PEAKS, peaks, MachinePeaks, _TIME_LIMIT_S)


def start_worker(
    stack: ExitStack, environment: Mapping[str, str] | None = None, command: Sequence[str] | None = None
) -> BenchClient:
    """Returns a worker that starts when it is first asked, and ends with the stack."""
    return BenchClient(stack.enter_context(LineProcess(command or WORKER_COMMAND, environment=environment)))
