"""The target `rknn`: Rockchip's NPUs, by the simulator of the vendor's own toolkit."""

from __future__ import annotations

import sys

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import not_set_up
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.benchmarks.remote.package_target import SimulatorTarget, packages_step
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError
from pocketvae.installation import python_path
from pocketvae.portability.rknn import INTEGER_PLATFORMS, PLATFORMS, platform_of
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.tools.setup import SetupStep, target_folder

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


class RknnTarget(SimulatorTarget):
    """Parity with the NPU's compiled graph; a simulator has no latency."""

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
        process = start_here(bundle, f"rknn:{self._platform}", {"PYTHONPATH": python_path(self._site)})
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

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        self.require_machine()
        if sys.version_info[:2] > _NEWEST_PYTHON:
            raise TargetError(f"the target {self.name} needs Python 3.11 or 3.12: rknn-toolkit2 has no newer wheel")
        text = "rknn-toolkit2 and the versions of numpy, onnx and others that it needs, by pip"
        return (packages_step(self._site, _REQUIREMENTS, text, _DOWNLOAD_BYTES),)
