"""The protocol of a bundle on a target, which verify and bench use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from pocketvae.benchmarks.execution.running import Latency
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError
from pocketvae.runtimes.base import Array, FloatArray, Optimizations


class TargetRun(ABC):
    """A bundle on a target; a context manager that leaves nothing behind on it."""

    @abstractmethod
    def run(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        *,
        optimizations: Optimizations = Optimizations.ON,
        num_threads: int = 1,
        batch: int = 1,
    ) -> dict[str, FloatArray]:
        """Runs one artifact on every sample.

        Args:
            artifact: One of the bundle's; its interface is compared with what the target finds in the file.
            inputs: Input name to `[N, ...]` real numbers; the target quantizes what the artifact takes as integers.
            optimizations: Whether the runtime may replace operators by faster ones.
            num_threads: Threads used by one call.
            batch: Samples per call, one of the artifact's batch sizes.

        Returns:
            Output name to `[N, ...] float32`, dequantized.

        Raises:
            ArtifactFault: the file cannot be loaded, has another interface than recorded, or stops while it runs.
            TargetError: the target does not support the artifact, the kernels or the threads, or is gone.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends what was started and removes what was copied."""

    def latency(
        self, artifact: ArtifactRecord, inputs: Mapping[str, Array], *, num_threads: int = 1, count: int = 200
    ) -> Latency:
        """Times calls on the first sample.

        Args:
            artifact: One of the bundle's.
            inputs: As for `outputs`.
            num_threads: Threads used by one call.
            count: Values to measure, after warm-up calls; fewer, but at least 30, where they would take too long.

        Raises:
            ArtifactFault: as `outputs`.
            TargetError: as `outputs`, or time means nothing there.
        """
        raise TargetError("latency on this target says nothing about a device")

    def facts(self) -> dict[str, str]:
        """Returns what runs there: versions, processor, adapter."""
        return {}

    def figures(self, artifact: ArtifactRecord) -> dict[str, float]:
        """Returns numbers that came with the outputs of an artifact, for example `arena_bytes`."""
        return {}

    def remarks(self, artifact: ArtifactRecord) -> tuple[str, ...]:
        """Returns what the target's tools said of an artifact that ran: estimates, operators left on a CPU."""
        return ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
