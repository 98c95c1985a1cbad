"""The target `hexagon`: Qualcomm's NPU in phones, by the vendor's own simulator inside onnxruntime's QNN plugin."""

from __future__ import annotations

import platform

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, not_set_up, require_linux
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.benchmarks.remote.hexagon import SOC_MODELS
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError, unknown_name
from pocketvae.runtimes.base import Optimizations
from pocketvae.spec import Component, Format
from pocketvae.system.tools.pip import install_here
from pocketvae.system.tools.setup import SetupStep, folder_step, target_folder

QNN_VERSION = "2.7.0"
_REQUIREMENTS = (f"onnxruntime-qnn=={QNN_VERSION}",)
_DOWNLOAD_BYTES = 98_000_000
_DEFAULT_GENERATION = "v75"


class HexagonTarget(Target):
    """Parity with the NPU's arithmetic; a simulator has no latency."""

    reference = Optimizations.ON
    has_other_kernels = False

    def __init__(self, option: str = "") -> None:
        """Chooses the generation.

        Args:
            option: One of `SOC_MODELS`.

        Raises:
            SpecError: it is unknown.
        """
        if option and option not in SOC_MODELS:
            raise unknown_name("Hexagon generation", option, SOC_MODELS)
        self._generation = option or _DEFAULT_GENERATION
        self.name = f"hexagon:{option}" if option else "hexagon"
        self.summary = f"Qualcomm's NPU ({', '.join(SOC_MODELS)}), by the vendor's simulator: ONNX files, parity only"
        self._site = target_folder("hexagon") / "site"

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return not_set_up(self, "onnxruntime-qnn is")

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        process = start_here(bundle, f"hexagon:{self._generation}", {"PYTHONPATH": str(self._site)})
        return ChannelRun(self.name, process, bundle)

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        if artifact.format is not Format.ONNX:
            return "the target hexagon runs ONNX files"
        if artifact.component in (Component.SAMPLER, Component.GENERATOR):
            return "Hexagon does not support shifts and exclusive or: use a decoder, and compute its latent on the CPU"
        return ""

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return f"Qualcomm's simulator of Hexagon {self._generation}"

    def judged(self, bundle: Bundle, artifact: ArtifactRecord) -> ArtifactRecord:
        """See `Target.judged`: float layers are computed in half precision, whatever the file says."""
        return judged_in_half_precision(bundle, artifact)

    def measures_time(self) -> bool:
        """See `Target.measures_time`."""
        return False

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        require_linux(self.name, "the simulator has no library for another system")
        if platform.machine() != "x86_64":
            raise TargetError(f"the target {self.name} needs an x86-64 processor: the simulator is built for it alone")
        return (
            folder_step(
                self._site,
                text="the Python package onnxruntime-qnn, with Qualcomm's simulator, by pip",
                key=" ".join((*_REQUIREMENTS, platform.machine(), platform.python_version())),
                download_bytes=_DOWNLOAD_BYTES,
                make=lambda folder: install_here(folder, _REQUIREMENTS),
            ),
        )
