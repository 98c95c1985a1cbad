"""The target `tract`: an inference engine in Rust for embedded systems, on this machine's CPU."""

from __future__ import annotations

import platform

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, not_set_up, refuse_option
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.spec import Format, Precision
from pocketvae.system.tools.pip import install_here
from pocketvae.system.tools.setup import SetupStep, folder_step, target_folder

_REQUIREMENTS = ("tract==0.23.9",)
_DOWNLOAD_BYTES = 12_000_000


class TractTarget(Target):
    """Parity and latency with a runtime without C++."""

    name = "tract"
    summary = "tract, the engine in Rust, on this CPU: ONNX files, except those of 16-bit integers"
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
        return not_set_up(self, "tract is")

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        process = start_here(bundle, self.name, {"PYTHONPATH": str(self._site)})
        return ChannelRun(self.name, process, bundle)

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        if artifact.format is not Format.ONNX:
            return "pocketvae runs ONNX files in tract: its Python package does not read TFLite files"
        if artifact.precision is Precision.INT16X8:
            return "tract does not support QuantizeLinear with 16-bit integers"
        return ""

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return f"tract {_REQUIREMENTS[0].partition('==')[2]}"

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        return (
            folder_step(
                self._site,
                text="the Python package tract, by pip",
                key=" ".join((*_REQUIREMENTS, platform.machine(), platform.python_version())),
                download_bytes=_DOWNLOAD_BYTES,
                make=lambda folder: install_here(folder, _REQUIREMENTS),
            ),
        )
