"""A place where artifacts can run, and whether it can be used here.

A target is one module: a `Target` that says whether it can be used here, and a `TargetRun` that stands for the time in
which a bundle is there. Both raise two kinds of errors. An `ArtifactFault` blames the artifact: it becomes a failed
check. A `TargetError` blames the target: the artifact is reported as not run. The other artifacts still run.
"""

from __future__ import annotations

import shutil
import sys
from abc import ABC, abstractmethod

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError, TargetError
from pocketvae.processes.failures import failure_of
from pocketvae.runtimes.base import Optimizations
from pocketvae.system.tools.setup import SetupStep, target_folder

# The machine that pocketvae runs on.
THIS_MACHINE = ""


class Target(ABC):
    """A place where artifacts can run.

    Attributes:
        name: As given to `--targets` and shown in results.
        summary: A short description.
        reference: The kernels of this machine that it is to be compared with.
        has_other_kernels: Whether it also runs files with the runtime's built-in kernels.
    """

    name: str
    summary: str = ""
    reference: Optimizations = Optimizations.ON
    has_other_kernels: bool = True

    @abstractmethod
    def unavailable(self) -> str | None:
        """Returns why the target cannot be used here and what to do about it; None if it can. Starts nothing."""

    def check(self) -> str | None:
        """Returns what `unavailable` returns, after asking the other machine if the target is one."""
        return self.unavailable()

    @abstractmethod
    def open(self, bundle: Bundle) -> TargetRun:
        """Makes a bundle ready to run.

        Raises:
            TargetError: the target cannot be used or reached.
        """

    def entered(self, bundle: Bundle) -> TargetRun:
        """Opens a bundle as `open` does; what this machine's system refuses costs this target alone.

        Raises:
            TargetError: as `open`, or a file cannot be read or written, such as on a full disk.
        """
        try:
            return self.open(bundle)
        except OSError as e:
            raise refused_here(self.name, e) from e

    def declines(self, artifact: ArtifactRecord) -> str:
        """Returns why the target does not support an artifact, which is not a failure; empty if it does."""
        return ""

    def measures_time(self) -> bool:
        """Whether times there are those of a device: not emulated, and with the kernels that a device has."""
        return True

    def machine(self) -> str:
        """Returns what names the machine whose processors compute; `THIS_MACHINE` for emulators and browsers too."""
        return THIS_MACHINE

    def batches(self, artifact: ArtifactRecord) -> tuple[int, ...]:
        """Returns the batch sizes of an artifact that run on this target."""
        return artifact.batches

    def runtime(self, artifact: ArtifactRecord) -> str:
        """Returns the runtime that a failed check names; empty for the one that the artifact is made for."""
        return ""

    def judged(self, bundle: Bundle, artifact: ArtifactRecord) -> ArtifactRecord:
        """Returns an artifact with the limits that hold on this target: wider where it computes in another precision.

        Args:
            bundle: The bundle that it is of.
            artifact: As the bundle records it.

        Raises:
            ManifestError: the bundle's goldens are damaged.
        """
        return artifact

    def setup(self) -> tuple[SetupStep, ...]:
        """Returns the steps of `pocketvae targets setup`, in order; none for a target that needs no setup."""
        return ()

    def remove(self) -> None:
        """Removes what `setup` made."""
        shutil.rmtree(target_folder(self.name.partition(":")[0]), ignore_errors=True)


def refused_here(name: str, error: OSError) -> TargetError:
    """Builds the error for what this machine's system refuses while a target is used.

    Args:
        name: Of the target.
        error: What the system said.
    """
    return TargetError(f"{name}: {failure_of(error).message}")


def not_set_up(target: Target, what: str) -> str | None:
    """Returns why a target that needs nothing but its setup cannot be used; None if it can.

    Args:
        target: Whose steps are looked at.
        what: What is missing until they are done, with its verb: `OpenVINO is`.
    """
    try:
        if all(step.is_done() for step in target.setup()):
            return None
    except TargetError as e:
        return str(e)
    return f"{what} not set up: run pocketvae targets setup {target.name.partition(':')[0]}"


def require_linux(name: str, reason: str) -> None:
    """Refuses a target on another system.

    Args:
        name: Of the target.
        reason: What it needs that only Linux has.

    Raises:
        TargetError: this is not Linux.
    """
    if sys.platform != "linux":
        raise TargetError(f"the target {name} needs Linux: {reason}")


def refuse_option(name: str, option: str) -> None:
    """Refuses an option after the colon of a target that takes none.

    Raises:
        SpecError: there is one.
    """
    if option:
        raise SpecError(f"the target {name} takes no options, got {name}:{option}")
