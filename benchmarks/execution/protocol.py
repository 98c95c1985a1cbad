"""The time in which a bundle is on a target, and what verify and bench ask of it meanwhile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError
from pocketvae.runtimes.base import Array, FloatArray, Kernels
from pocketvae.spec import TensorSpec


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Times of one artifact on a target, every value kept.

    Attributes:
        load_s: Opening the file.
        first_s: The first call.
        values_s: Seconds per call, input and output copies included, in the order measured.
        loops: Calls behind one value.
    """

    load_s: float
    first_s: float
    values_s: tuple[float, ...]
    loops: int = 1


class TargetRun(ABC):
    """A bundle on a target; a context manager that leaves nothing behind on it."""

    @abstractmethod
    def outputs(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        *,
        kernels: Kernels = Kernels.OPTIMIZED,
        num_threads: int = 1,
        batch: int = 1,
    ) -> dict[str, FloatArray]:
        """Runs one artifact on every sample.

        Args:
            artifact: One of the bundle's; its interface is compared with what the target finds in the file.
            inputs: Input name to `[N, ...]` real numbers; the target quantizes what the artifact takes as integers.
            kernels: Which operator implementations run.
            num_threads: Inside one inference.
            batch: Samples in one call, of those that the artifact has.

        Returns:
            Output name to `[N, ...] float32`, dequantized.

        Raises:
            ArtifactFault: the file cannot be loaded, has another interface than recorded, or stops while it runs.
            TargetError: the target has not got what the artifact, the kernels or the threads need, or has gone.
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
            num_threads: Inside one call.
            count: Values to measure, after warm-up calls.

        Raises:
            ArtifactFault: as `outputs`.
            TargetError: as `outputs`, or time means nothing there.
        """
        raise TargetError("time on this target says nothing about a device")

    def facts(self) -> dict[str, str]:
        """Returns what runs there: versions, processor, adapter."""
        return {}

    def figures(self, artifact: ArtifactRecord) -> dict[str, float]:
        """Returns numbers that came with the outputs of an artifact, for example `arena_bytes`."""
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def interface_problem(
    artifact: ArtifactRecord, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec], batch: int = 1
) -> str:
    """Says how a file's interface differs from the manifest's; empty where it does not."""
    for role, declared, found in (("input", artifact.inputs, inputs), ("output", artifact.outputs, outputs)):
        names = {spec.name for spec in declared}
        if names != set(found):
            return f"{role}s must be {sorted(names)}, got {sorted(found)}"
        for spec in (tensor.with_batch(batch) for tensor in declared):
            if spec != found[spec.name]:
                return f"{role} {spec.name!r} must be {_describe(spec)}, got {_describe(found[spec.name])}"
    return ""


def _describe(spec: TensorSpec) -> str:
    scale = spec.quantization
    return f"{list(spec.shape)} {spec.dtype}" + (f" scale {scale.scale:g} zero {scale.zero_point}" if scale else "")
