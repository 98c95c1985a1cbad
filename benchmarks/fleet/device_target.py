"""A device of a fleet as a target: it has the device's name, and stops when the device's time is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.running import Latency
from pocketvae.benchmarks.execution.target import Target
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError
from pocketvae.processes.deadline import Deadline
from pocketvae.runtimes.base import Array, FloatArray, Optimizations

_Result = TypeVar("_Result")


class DeviceTarget(Target):
    """What the device's target does, under the device's name.

    Locks and copies go by the target's own name, so that a device is one machine however it is called.
    """

    def __init__(self, name: str, target: Target, deadline: Deadline) -> None:
        """Keeps all three.

        Args:
            name: Of the device.
            target: Where it is.
            deadline: Checked before every call.
        """
        self.name, self.summary = name, target.summary
        self.reference, self.has_other_kernels = target.reference, target.has_other_kernels
        self._target, self._deadline = target, deadline

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return self._target.unavailable()

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        return _DeviceRun(_in_time(self._deadline, lambda: self._target.open(bundle)), self._deadline)

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        return self._target.declines(artifact)

    def measures_time(self) -> bool:
        """See `Target.measures_time`."""
        return self._target.measures_time()

    def machine(self) -> str:
        """See `Target.machine`."""
        return self._target.machine()

    def batches(self, artifact: ArtifactRecord) -> tuple[int, ...]:
        """See `Target.batches`."""
        return self._target.batches(artifact)

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return self._target.runtime(artifact)

    def judged(self, bundle: Bundle, artifact: ArtifactRecord) -> ArtifactRecord:
        """See `Target.judged`."""
        return self._target.judged(bundle, artifact)


class _DeviceRun(TargetRun):
    def __init__(self, run: TargetRun, deadline: Deadline) -> None:
        self._run, self._deadline = run, deadline

    def run(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        *,
        optimizations: Optimizations = Optimizations.ON,
        num_threads: int = 1,
        batch: int = 1,
    ) -> dict[str, FloatArray]:
        def call() -> dict[str, FloatArray]:
            return self._run.run(artifact, inputs, optimizations=optimizations, num_threads=num_threads, batch=batch)

        return _in_time(self._deadline, call)

    def latency(
        self, artifact: ArtifactRecord, inputs: Mapping[str, Array], *, num_threads: int = 1, count: int = 200
    ) -> Latency:
        return _in_time(
            self._deadline, lambda: self._run.latency(artifact, inputs, num_threads=num_threads, count=count)
        )

    def facts(self) -> dict[str, str]:
        return self._run.facts()

    def figures(self, artifact: ArtifactRecord) -> dict[str, float]:
        return self._run.figures(artifact)

    def remarks(self, artifact: ArtifactRecord) -> tuple[str, ...]:
        return self._run.remarks(artifact)

    def close(self) -> None:
        self._run.close()


def _in_time(deadline: Deadline, call: Callable[[], _Result]) -> _Result:
    """Calls, unless the time is over; what fails because it ended meanwhile says so.

    Raises:
        TargetError: it is over, or the call raised one.
    """
    if deadline.is_over:
        raise TargetError(deadline.reason)
    try:
        return call()
    except TargetError as e:
        if not deadline.is_over:
            raise
        raise TargetError(deadline.reason) from e
