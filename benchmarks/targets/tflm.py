"""The target `tflm`: TensorFlow Lite Micro on this machine, with the reference kernels that firmware links."""

from __future__ import annotations

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, not_set_up, refuse_option, require_linux
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.installation import python_path
from pocketvae.portability.tflm import tflm_site, tflm_step
from pocketvae.processes.line_process import LineProcess
from pocketvae.runtimes.base import Optimizations
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.tools.setup import SetupStep

_PRECISIONS = frozenset({Precision.FLOAT32, Precision.INT8, Precision.INT8_IO, Precision.INT16X8})


class TflmTarget(Target):
    """Parity and arena size for microcontrollers; no latency."""

    name = "tflm"
    summary = "TensorFlow Lite Micro: int8_io, int8, int16x8 and float32 TFLite files"
    reference = Optimizations.OFF
    has_other_kernels = False

    def __init__(self, option: str = "") -> None:
        """See `make_target`.

        Raises:
            SpecError: an option is given.
        """
        refuse_option(self.name, option)
        self._site = tflm_site()

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return not_set_up(self, "tflite-micro is")

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        return ChannelRun(self.name, self.channel(bundle), bundle)

    def channel(self, bundle: Bundle) -> LineProcess:
        """Returns the process that runs a bundle's files."""
        return start_here(bundle, "tflm", {"PYTHONPATH": python_path(self._site)})

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        if artifact.format is not Format.TFLITE:
            return "TensorFlow Lite Micro only supports TFLite files"
        if artifact.precision not in _PRECISIONS:
            return f"TensorFlow Lite Micro does not have kernels for {artifact.precision}"
        if artifact.component in (Component.SAMPLER, Component.GENERATOR):
            return (
                "TensorFlow Lite Micro does not support shifts and exclusive or: use a decoder, and compute its latent"
            )
        return ""

    def batches(self, artifact: ArtifactRecord) -> tuple[int, ...]:
        """See `Target.batches`: a file's first signature is all that runs."""
        return artifact.batches[:1]

    def measures_time(self) -> bool:
        """See `Target.measures_time`."""
        return False

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        require_linux(self.name, "tflite-micro has no wheels for another system")
        return (tflm_step(),)
