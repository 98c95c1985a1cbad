"""A place where artifacts run, and whether it can be used here.

A target is one module: a `Target` that says whether it can be used here, and a `TargetRun` that stands for the time in
which a bundle is there. Both raise two kinds of errors. An `ArtifactFault` blames the artifact: it becomes a failed
check. A `TargetError` blames the target: the artifact is reported as not run. The other artifacts still run.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError
from pocketvae.runtimes.base import Kernels
from pocketvae.system.tools.setup import SetupStep, target_folder


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
