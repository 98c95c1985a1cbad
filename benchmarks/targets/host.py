"""The target `host`: this machine, with LiteRT and onnxruntime in this process."""

from __future__ import annotations

from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, refuse_option
from pocketvae.bundle.bundle import Bundle


class HostTarget(Target):
    """This machine, which is always available. A missing runtime is reported for each artifact."""

    name = "host"
    summary = "this machine, with LiteRT and onnxruntime"

    def __init__(self, option: str = "") -> None:
        """See `make_target`.

        Raises:
            SpecError: an option is given.
        """
        refuse_option(self.name, option)

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return None

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        return HostRun(bundle)
