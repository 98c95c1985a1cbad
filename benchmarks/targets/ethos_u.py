"""The target `ethos-u`: Arm's compiler for its NPUs, and the values of TensorFlow Lite Micro's kernels."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target, not_set_up
from pocketvae.benchmarks.remote.channel import ChannelRun
from pocketvae.benchmarks.targets.tflm import TflmTarget
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.portability.ethos_u import DEFAULT_ACCELERATOR, EthosU
from pocketvae.portability.vela import VELA_VERSION, NpuEstimate, compile_for, vela_step
from pocketvae.processes.rpc import Channel
from pocketvae.runtimes.base import Array, FloatArray, Optimizations
from pocketvae.spec import Precision
from pocketvae.system.tools.setup import SetupStep, target_folder

_INTEGERS = frozenset({Precision.INT8, Precision.INT8_IO, Precision.INT16X8})


class EthosUTarget(Target):
    """Compiles files as for the device and estimates their time; nothing is measured and no NPU runs."""

    reference = Optimizations.OFF
    has_other_kernels = False

    def __init__(self, option: str = "") -> None:
        """Chooses the accelerator.

        Args:
            option: As `EthosU.parse` reads it.

        Raises:
            SpecError: a name is unknown.
        """
        self._chip = EthosU.parse(option or DEFAULT_ACCELERATOR)
        self._kernels = TflmTarget()
        self.name = option or "ethos-u"
        self.summary = (
            f"Arm's NPUs ({self._chip.describe()}): compiled and estimated by vela; values from TensorFlow Lite Micro"
        )

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return not_set_up(self, "ethos-u-vela or tflite-micro is")

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        return EthosURun(self.name, self._kernels.channel(bundle), bundle, self._chip)

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        if artifact.precision not in _INTEGERS:
            return f"Ethos-U computes in integers, and {artifact.precision} does not: use int8_io, int8 or int16x8"
        return self._kernels.declines(artifact)

    def batches(self, artifact: ArtifactRecord) -> tuple[int, ...]:
        """See `Target.batches`."""
        return self._kernels.batches(artifact)

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return "TensorFlow Lite Micro, whose kernels the NPU is made to match"

    def measures_time(self) -> bool:
        """See `Target.measures_time`."""
        return False

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        return (vela_step(), *self._kernels.setup())

    def remove(self) -> None:
        """See `Target.remove`; what the target tflm uses too stays."""
        shutil.rmtree(target_folder("ethos-u"), ignore_errors=True)


class EthosURun(ChannelRun):
    """A process with TensorFlow Lite Micro's kernels; every file that it runs is compiled for the NPU here."""

    def __init__(self, name: str, channel: Channel, bundle: Bundle, chip: EthosU) -> None:
        """Starts the process.

        Raises:
            TargetError: it does not start.
        """
        self._chip = chip
        self._estimates: dict[str, NpuEstimate] = {}
        super().__init__(name, channel, bundle)
        self._facts = {
            **self._facts,
            "accelerator": chip.describe(),
            "vela": VELA_VERSION,
            "values": "TensorFlow Lite Micro's kernels on this machine",
        }

    def run(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        *,
        optimizations: Optimizations = Optimizations.ON,
        num_threads: int = 1,
        batch: int = 1,
    ) -> dict[str, FloatArray]:
        """See `TargetRun.run`: values are those of TensorFlow Lite Micro."""
        outputs = super().run(artifact, inputs, optimizations=optimizations, num_threads=num_threads, batch=batch)
        if artifact.name not in self._estimates:
            content = self._bundle.artifact_path(artifact).read_bytes()
            self._estimates[artifact.name] = compile_for(self._chip, content, artifact.name)
        return outputs

    def figures(self, artifact: ArtifactRecord) -> dict[str, float]:
        """See `TargetRun.figures`."""
        estimate = self._estimates.get(artifact.name)
        return estimate.figures() if estimate else {}

    def remarks(self, artifact: ArtifactRecord) -> tuple[str, ...]:
        """See `TargetRun.remarks`."""
        estimate = self._estimates.get(artifact.name)
        return (*estimate.remarks(), *estimate.dearest()) if estimate else ()
