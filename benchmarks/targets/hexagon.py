"""The target `hexagon`: Qualcomm's NPU in phones, by the vendor's own simulator inside onnxruntime's QNN plugin."""

from __future__ import annotations

import platform
from dataclasses import replace

import numpy as np

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, not_set_up, require_linux
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.benchmarks.remote.hexagon import SOC_MODELS
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError, unknown_name
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.runtimes.base import Optimizations
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.tools.pip import install_here
from pocketvae.system.tools.setup import SetupStep, folder_step, target_folder

QNN_VERSION = "2.7.0"
_REQUIREMENTS = (f"onnxruntime-qnn=={QNN_VERSION}",)
_DOWNLOAD_BYTES = 98_000_000
_DEFAULT_GENERATION = "v75"
# Half of the spacing of half-precision numbers, relative to their size.
_HALF_ROUNDING = 2.0**-11


class HexagonTarget(Target):
    """Parity with the NPU's arithmetic; a simulator has no latency."""

    reference = Optimizations.ON

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
        """See `Target.judged`: float layers are computed in half precision, whatever the file says.

        Limits of float files are those of float16 plus one rounding of the largest output for each layer, since layers
        return half-precision numbers there, which those of float16 files on a CPU do not. Where the bundle has no
        float16 file, what rounding the weights costs is not known, and counts as much again.
        """
        if artifact.precision not in (Precision.FLOAT32, Precision.FLOAT16):
            return artifact
        halves = (
            item
            for item in bundle.manifest.artifacts
            if (item.component, item.precision) == (artifact.component, Precision.FLOAT16) and item.tolerances
        )
        half = next(halves, None)
        roundings = max(1, len(artifact.layers)) * (1 if half else 2)
        outputs = bundle.goldens(artifact.component).outputs
        limits = tuple(_widened(limit, outputs.get(limit.output), roundings) for limit in (half or artifact).tolerances)
        return replace(artifact, tolerances=limits)

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


def _widened(limit: Tolerance, output: np.ndarray | None, roundings: int) -> Tolerance:
    if limit.metric != "max_abs" or output is None or not output.size:
        return limit
    rounding = roundings * _HALF_ROUNDING * float(np.abs(output).max())
    source = f"{rounding:.1e}, {roundings} roundings of the largest output to half precision, and {limit.source}"
    return replace(limit, limit=limit.limit + rounding, source=source)
