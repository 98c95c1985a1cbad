"""A target that is a Python package in an environment of its own, on this machine's CPU."""

from __future__ import annotations

import platform

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, not_set_up, refuse_option
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
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
        process = start_here(bundle, self.name, {"PYTHONPATH": str(self._site)})
        return ChannelRun(self.name, process, bundle)

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return f"{self.title} {self.requirement.partition('==')[2]}"

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        return (
            folder_step(
                self._site,
                text=f"the Python package {self.requirement.partition('==')[0]}, by pip",
                key=" ".join((self.requirement, platform.machine(), platform.python_version())),
                download_bytes=self.download_bytes,
                make=lambda folder: install_here(folder, (self.requirement,)),
            ),
        )
