"""The remote runner: Python inside a target, which runs artifacts as on this machine and returns the outputs.

It needs the dependencies of the extra `run` and no more.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pocketvae.benchmarks.execution.running import Latency, run_file
from pocketvae.benchmarks.remote.messages import Job, Method, Ran, Timed, TimedJob
from pocketvae.processes.arrays import Arrays
from pocketvae.processes.rpc import Handler, Handlers, handler
from pocketvae.runtimes.base import Array, Runner, quantize
from pocketvae.runtimes.opening import open_runner
from pocketvae.system.environment import current_environment
from pocketvae.system.timing import calibrate_loops, time_values

_WARMUP_CALLS = 20


class RemoteRunner:
    """Runs and times the artifacts in one folder."""

    def __init__(self, folder: Path) -> None:
        """Keeps the folder; files are opened when they are asked for."""
        self._folder = folder

    def handlers(self) -> Handlers:
        """Returns what the methods do."""
        return {
            Method.FACTS: handler(type(None), lambda _: self.facts()),
            Method.RUN: Handler(params=Job, do=self.run),
            Method.TIME: Handler(params=TimedJob, do=lambda job, inputs: (self.time(job, inputs), {})),
        }

    def run(self, job: Job, inputs: Mapping[str, Array]) -> tuple[Ran, Arrays]:
        """Runs an artifact on every sample."""
        outputs = run_file(
            self._folder / job.location,
            job,
            inputs,
            job.image_range,
            optimizations=job.optimizations,
            num_threads=job.threads,
            batch=job.batch,
        )
        return Ran(), dict(outputs)

    def facts(self) -> dict[str, str]:
        """Returns what runs here."""
        environment = current_environment()
        machine = f"{environment.system} {environment.machine}"
        return {"machine": machine, "cpu": environment.cpu, "python": platform.python_version(), **environment.versions}

    def time(self, job: TimedJob, inputs: Mapping[str, Array]) -> Timed:
        """Times an artifact on the first sample."""
        path = self._folder / job.location

        def load() -> Runner:
            return open_runner(path, job.format, num_threads=job.threads, optimizations=job.optimizations)

        return time_runner(load, job, inputs)


def time_runner(load: Callable[[], Runner], job: TimedJob, inputs: Mapping[str, Array]) -> Timed:
    """Times loading a file, its first call, and calls after that, on the first sample.

    Args:
        load: Opens the file.
        job: How many calls.
        inputs: Input name to `[N, ...]` real numbers.
    """
    started = time.perf_counter()
    with load() as runner:
        call = runner.prepare(
            {name: quantize(values[:1], runner.inputs[name], job.image_range) for name, values in inputs.items()}
        )
        loaded = time.perf_counter()
        call()
        first = time.perf_counter()
        for _ in range(_WARMUP_CALLS):
            call()
        loops = calibrate_loops(call)
        values = time_values(call, loops=loops, count=job.timed_calls)
    return Timed(latency=Latency(load_s=loaded - started, first_s=first - loaded, values_s=tuple(values), loops=loops))
