"""Targets that are Python packages in an environment of their own: runtimes of CPUs, and simulators of NPUs."""

from __future__ import annotations

import platform
from pathlib import Path

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, not_set_up, refuse_option, require_linux
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError
from pocketvae.installation import python_path
from pocketvae.system.tools.pip import install_here
from pocketvae.system.tools.setup import SetupStep, folder_step, target_folder


class PackageTarget(Target):
    """A runtime that pip installs; a subclass says what it is called and what it declines.

    Attributes:
        title: As people write it.
        requirement: The package and its version, for pip.
        download_bytes: About how much is downloaded.
    """

    title: str
    requirement: str
    download_bytes: int
    has_other_kernels = False

    def __init__(self, option: str = "") -> None:
        """See `make_target`.

        Raises:
            SpecError: an option is given.
        """
        refuse_option(self.name, option)
        self._site = target_folder(self.name) / "site"

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return not_set_up(self, f"{self.title} is")

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        process = start_here(bundle, self.name, {"PYTHONPATH": python_path(self._site)})
        return ChannelRun(self.name, process, bundle)

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return f"{self.title} {self.requirement.partition('==')[2]}"

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        text = f"the Python package {self.requirement.partition('==')[0]}, by pip"
        return (packages_step(self._site, (self.requirement,), text, self.download_bytes),)


class SimulatorTarget(Target):
    """A vendor's simulator of an NPU that computes float layers in half precision; it has no latency."""

    has_other_kernels = False

    def judged(self, bundle: Bundle, artifact: ArtifactRecord) -> ArtifactRecord:
        """See `Target.judged`: float layers are computed in half precision, whatever the file says."""
        return judged_in_half_precision(bundle, artifact)

    def measures_time(self) -> bool:
        """See `Target.measures_time`."""
        return False

    def require_machine(self) -> None:
        """Refuses to set up what cannot run here.

        Raises:
            TargetError: this is not Linux on an x86-64 processor.
        """
        require_linux(self.name, "the simulator has no library for another system")
        if platform.machine() != "x86_64":
            raise TargetError(f"the target {self.name} needs an x86-64 processor: the simulator is built for it alone")


def packages_step(site: Path, requirements: tuple[str, ...], text: str, download_bytes: int) -> SetupStep:
    """Returns the step that installs packages in a folder of their own, again where Python or a version changed.

    Args:
        site: The folder.
        requirements: For pip, each with its version.
        text: What is installed, for the user.
        download_bytes: About how much is downloaded.
    """
    return folder_step(
        site,
        text=text,
        key=" ".join((*requirements, platform.machine(), platform.python_version())),
        download_bytes=download_bytes,
        make=lambda folder: install_here(folder, requirements),
    )
