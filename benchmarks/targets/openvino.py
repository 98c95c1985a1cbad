"""The target `openvino`: Intel's OpenVINO on this machine's CPU, which reads both formats as they are."""

from __future__ import annotations

import platform

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, not_set_up, refuse_option
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.spec import Component, Format
from pocketvae.system.tools.pip import install_here
from pocketvae.system.tools.setup import SetupStep, folder_step, target_folder

_REQUIREMENTS = ("openvino==2026.4.1",)
_DOWNLOAD_BYTES = 60_000_000


class OpenvinoTarget(Target):
    """Parity and latency with another runtime of CPUs."""

    name = "openvino"
    has_other_kernels = False
    summary = "Intel's OpenVINO on this CPU: TFLite and ONNX files, except generators in TFLite"

    def __init__(self, option: str = "") -> None:
        """See `make_target`.

        Raises:
            SpecError: an option is given.
        """
        refuse_option(self.name, option)
        self._site = target_folder(self.name) / "site"

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return not_set_up(self, "OpenVINO is")

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        process = start_here(bundle, self.name, {"PYTHONPATH": str(self._site)})
        return ChannelRun(self.name, process, bundle)

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        is_noise = artifact.component in (Component.SAMPLER, Component.GENERATOR)
        if artifact.format is Format.TFLITE and is_noise:
            return "OpenVINO does not read exclusive or in TFLite files: use the ONNX file"
        return ""

    def batches(self, artifact: ArtifactRecord) -> tuple[int, ...]:
        """See `Target.batches`: of a TFLite file the first signature is all that OpenVINO reads."""
        return artifact.batches[:1] if artifact.format is Format.TFLITE else artifact.batches

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return f"OpenVINO {_REQUIREMENTS[0].partition('==')[2]}"

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        return (
            folder_step(
                self._site,
                text="the Python package openvino, by pip",
                key=" ".join((*_REQUIREMENTS, platform.machine(), platform.python_version())),
                download_bytes=_DOWNLOAD_BYTES,
                make=lambda folder: install_here(folder, _REQUIREMENTS),
            ),
        )
