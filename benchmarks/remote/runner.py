"""The remote runner: Python inside a target, which runs artifacts as on this machine and returns the outputs.

It needs the dependencies of the extra `run` and no more.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

from pocketvae.benchmarks.execution.running import run_loaded, time_loaded
from pocketvae.benchmarks.remote.messages import Job, Method, Ran, Timed, TimedJob
from pocketvae.errors import ArtifactFault, SpecError, TargetError
from pocketvae.processes.arrays import Arrays
from pocketvae.processes.rpc import Handler, Handlers, handler
from pocketvae.runtimes.base import Array, FloatArray, Runner
from pocketvae.runtimes.opening import open_runner
from pocketvae.system.environment import current_environment


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

    def open(self, path: Path, job: Job) -> Runner:
        """Opens a file in the runtime of this target: here, the one that an app uses on a CPU.

        Raises:
            ParityError: the file cannot be loaded.
            TargetError: the runtime does not support it.
        """
        return open_runner(path, job.format, num_threads=job.threads, optimizations=job.optimizations, batch=job.batch)

    def figures(
        self, path: Path, job: Job, inputs: Mapping[str, Array], outputs: Mapping[str, FloatArray]
    ) -> dict[str, float]:
        """Returns numbers that go beside the outputs.

        Raises:
            TargetError: they show that the file did not run as it should have.
        """
        return {}

    def run(self, job: Job, inputs: Mapping[str, Array]) -> tuple[Ran, Arrays]:
        """Runs an artifact on every sample.

        Raises:
            ArtifactFault: the file cannot be loaded, has another interface, or stops while it runs.
            SpecError: this machine does not have the threads.
            TargetError: as `open` and `figures`.
        """
        path = self._folder / job.location
        if job.threads != 1:
            from pocketvae.system.limits import check_threads  # with one thread, a module less to begin with

            check_threads(job.threads)
        try:
            outputs = run_loaded(lambda: self.open(path, job), job, inputs, job.image_range, job.batch)
        except SpecError as e:  # the file does not support the batch size
            raise ArtifactFault("runs", str(e)) from e
        return Ran(figures=self.figures(path, job, inputs, outputs)), dict(outputs)

    def facts(self) -> dict[str, str]:
        """Returns what runs here."""
        environment = current_environment()
        machine = f"{environment.system} {environment.machine}"
        return {"machine": machine, "cpu": environment.cpu, "python": platform.python_version(), **environment.versions}

    def time(self, job: TimedJob, inputs: Mapping[str, Array]) -> Timed:
        """Times an artifact on the first sample.

        Raises:
            TargetError: as `open`, or what computes here does not take the number of threads.
        """
        path = self._folder / job.location
        return Timed(latency=time_loaded(lambda: self.open(path, job), inputs, job.image_range, job.timed_calls))


def require_one_thread(threads: int, computes: str) -> None:
    """Refuses to time a number of threads that nothing would be told of.

    Args:
        threads: That were asked for.
        computes: What computes, and how, as the beginning of a sentence: `tract computes with one thread`.

    Raises:
        TargetError: they are not 1.
    """
    if threads != 1:
        raise TargetError(f"{computes}: it is only timed with --threads 1, got {threads}")
