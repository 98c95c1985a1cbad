"""The target `rknn`: Rockchip's NPUs, by the simulator of the vendor's own toolkit."""

from __future__ import annotations

import platform
import sys

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, not_set_up, require_linux
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError
from pocketvae.portability.rknn import INTEGER_PLATFORMS, PLATFORMS, platform_of
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.tools.pip import install_here
from pocketvae.system.tools.setup import SetupStep, folder_step, target_folder

RKNN_VERSION = "2.5.0"
# What the toolkit imports, in versions that it supports; they stand before this machine's own in its process alone.
# It asks for PyTorch too, some 3 GB, which it uses for PyTorch's own models alone.
_REQUIREMENTS = (
    f"rknn-toolkit2=={RKNN_VERSION}",
    "fast-histogram==0.14",
    "numpy==1.26.4",
    "onnx==1.18.0",
    "onnxruntime==1.22.1",
    "opencv-python-headless==4.10.0.84",
    "protobuf==4.25.4",
    "ruamel.yaml==0.19.1",
    "scipy==1.14.1",
    "setuptools==65.5.0",
    "tqdm==4.70.1",
)
_DOWNLOAD_BYTES = 183_000_000
_NEWEST_PYTHON = (3, 12)


class RknnTarget(Target):
    """Parity with the NPU's compiled graph; a simulator has no latency."""

    has_other_kernels = False

    def __init__(self, option: str = "") -> None:
        """Chooses the chip.

        Args:
            option: One of `PLATFORMS`.

        Raises:
            SpecError: it is unknown.
        """
        self._platform = platform_of(option)
        self.name = f"rknn:{option}" if option else "rknn"
        self.summary = (
            f"Rockchip's NPUs (rk3588, {len(PLATFORMS) - 1} others), by the vendor's simulator: ONNX files, parity only"
        )
        self._site = target_folder("rknn") / "site"

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return not_set_up(self, "rknn-toolkit2 is")

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        process = start_here(bundle, f"rknn:{self._platform}", {"PYTHONPATH": str(self._site)})
        return ChannelRun(self.name, process, bundle)

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        if artifact.format is not Format.ONNX:
            return "the target rknn runs ONNX files"
        if artifact.precision is Precision.DYNAMIC_INT8:
            return "RKNN does not support DynamicQuantizeLinear: use the int8 file"
        if artifact.precision is Precision.INT16X8:
            return "RKNN does not support opset 21, in which ONNX has 16-bit integers: use the float16 file"
        if self._platform in INTEGER_PLATFORMS and artifact.precision is not Precision.INT8:
            return f"{self._platform} computes integers alone: use the int8 file"
        if artifact.component in (Component.SAMPLER, Component.GENERATOR):
            return "RKNN does not support shifts and exclusive or: use a decoder, and compute its latent on the CPU"
        return ""

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return f"Rockchip's simulator of {self._platform}"

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
        if sys.version_info[:2] > _NEWEST_PYTHON:
            raise TargetError(f"the target {self.name} needs Python 3.11 or 3.12: rknn-toolkit2 has no newer wheel")
        return (
            folder_step(
                self._site,
                text="rknn-toolkit2 and the versions of numpy, onnx and others that it needs, by pip",
                key=" ".join((*_REQUIREMENTS, platform.machine(), platform.python_version())),
                download_bytes=_DOWNLOAD_BYTES,
                make=lambda folder: install_here(folder, _REQUIREMENTS),
            ),
        )
