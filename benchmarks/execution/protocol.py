"""What verify asks of a place where artifacts run.

A target is one module: a `Target` that says whether it can be used here, and a `TargetRun` that stands for the time in
which a bundle is there. Both raise two kinds of errors. An `ArtifactFault` blames the artifact: it becomes a failed
check. A `TargetError` blames the target: the artifact is reported as not run. The other artifacts still run.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ParityError, SpecError, TargetError
from pocketvae.runtimes.base import Array, FloatArray, Kernels
from pocketvae.spec import TensorSpec
from pocketvae.system.tools.setup import SetupStep, target_folder


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


class ArtifactFault(ParityError):
    """The artifact itself is wrong, wherever it runs.

    Attributes:
        check: The check that fails: `loads`, `interface` or `runs`.
    """

    def __init__(self, check: str, reason: str) -> None:
        """Keeps the check's name beside the reason."""
        super().__init__(reason)
        self.check = check


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


class Target(ABC):
    """A place where artifacts can run.

    Attributes:
        name: As given to `--targets` and shown in results.
        summary: What it is, in a few words.
        reference: The kernels of this machine that it is to be compared with.
    """

    name: str
    summary: str = ""
    reference: Kernels = Kernels.OPTIMIZED

    @abstractmethod
    def unavailable(self) -> str | None:
        """Says in words why the target cannot be used here and what to do; None where it can. Starts nothing."""

    def check(self) -> str | None:
        """Says what `unavailable` says, and asks a machine that is not this one."""
        return self.unavailable()

    @abstractmethod
    def open(self, bundle: Bundle) -> TargetRun:
        """Makes a bundle ready to run.

        Raises:
            TargetError: the target cannot be used or reached.
        """

    def declines(self, artifact: ArtifactRecord) -> str:
        """Says why such an artifact never runs on this target; empty where it does. It is told and is no failure."""
        return ""

    def measures_time(self) -> bool:
        """Whether time there is that of a device: neither emulated, nor of other kernels than a device has."""
        return True

    def batches(self, artifact: ArtifactRecord) -> tuple[int, ...]:
        """Returns the batch sizes of an artifact that run on this target."""
        return artifact.batches

    def runtime(self, artifact: ArtifactRecord) -> str:
        """Says what runs an artifact there, in the words of a failed check; empty for what an artifact is made for."""
        return ""

    def setup(self) -> tuple[SetupStep, ...]:
        """Returns what `pocketvae targets setup` does, in order; nothing for a target that needs none."""
        return ()

    def remove(self) -> None:
        """Removes what `setup` made."""
        shutil.rmtree(target_folder(self.name.partition(":")[0]), ignore_errors=True)


def refuse_option(name: str, option: str) -> None:
    """Refuses what follows the colon of a target that has nothing to choose.

    Raises:
        SpecError: there is something.
    """
    if option:
        raise SpecError(f"the target {name} has nothing to choose, got {name}:{option}")


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
