"""The target `hexagon`: Qualcomm's NPU in phones, by the vendor's own simulator inside onnxruntime's QNN plugin."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import not_set_up
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.benchmarks.remote.messages import Job
from pocketvae.benchmarks.remote.package_target import SimulatorTarget, packages_step
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord, CompiledRecord
from pocketvae.installation import python_path
from pocketvae.portability.hexagon import SOC_MODELS, generation_of
from pocketvae.processes.rpc import Channel
from pocketvae.runtimes.base import Array, FloatArray, Optimizations
from pocketvae.spec import Component, Format
from pocketvae.system.tools.setup import SetupStep, run_tool, target_folder

QNN_VERSION = "2.7.0"
_REQUIREMENTS = (f"onnxruntime-qnn=={QNN_VERSION}",)
_DOWNLOAD_BYTES = 98_000_000
_COMPILE_TIME_LIMIT_S = 600.0


class HexagonTarget(SimulatorTarget):
    """Parity with the NPU's arithmetic; a simulator has no latency."""

    reference = Optimizations.ON

    def __init__(self, option: str = "") -> None:
        """Chooses the generation.

        Args:
            option: One of `SOC_MODELS`.

        Raises:
            SpecError: it is unknown.
        """
        self._generation = generation_of(option)
        self.name = f"hexagon:{option}" if option else "hexagon"
        self.summary = f"Qualcomm's NPU ({', '.join(SOC_MODELS)}), by the vendor's simulator: ONNX files, parity only"
        self._site = target_folder("hexagon") / "site"

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return not_set_up(self, "onnxruntime-qnn is")

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        process = start_here(bundle, f"hexagon:{self._generation}", {"PYTHONPATH": python_path(self._site)})
        return HexagonRun(self.name, process, bundle, self._generation)

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

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        self.require_machine()
        text = "the Python package onnxruntime-qnn, with Qualcomm's simulator, by pip"
        return (packages_step(self._site, _REQUIREMENTS, text, _DOWNLOAD_BYTES),)


class HexagonRun(ChannelRun):
    """Files on the simulator; of an artifact that was compiled for the generation, the compiled file."""

    def __init__(self, name: str, channel: Channel, bundle: Bundle, generation: str) -> None:
        """Starts the process.

        Raises:
            TargetError: it does not start.
        """
        self._chip, self._batch = f"hexagon:{generation}", 1
        super().__init__(name, channel, bundle)

    def run(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        *,
        optimizations: Optimizations = Optimizations.ON,
        num_threads: int = 1,
        batch: int = 1,
    ) -> dict[str, FloatArray]:
        """See `TargetRun.run`; what was compiled takes one sample in a call."""
        self._batch = batch
        return super().run(artifact, inputs, optimizations=optimizations, num_threads=num_threads, batch=batch)

    def job(self, artifact: ArtifactRecord, num_threads: int) -> Job:
        """See `ChannelRun.job`."""
        found, job = self._compiled(artifact), super().job(artifact, num_threads)
        return replace(job, location=found.file.path) if found and self._batch == 1 else job

    def remarks(self, artifact: ArtifactRecord) -> tuple[str, ...]:
        """See `TargetRun.remarks`."""
        found = self._compiled(artifact)
        return (f"ran {found.file.path}, compiled by {found.compiler}",) if found else ()

    def _compiled(self, artifact: ArtifactRecord) -> CompiledRecord | None:
        return self._bundle.manifest.compiled_for(artifact, self._chip)


def compile_on_hexagon(source: Path, out: Path, generation: str) -> bytes:
    """Compiles an ONNX file for a generation and returns the context file, which is also written.

    Args:
        source: The file.
        out: The context file; its folder is made.
        generation: One of `SOC_MODELS`.

    Raises:
        TargetError: the plugin is not set up, does not take the whole graph, or takes too long.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    run_tool(
        (sys.executable, "-m", "pocketvae.benchmarks.remote.npu_compiler", str(source), str(out), generation),
        f"compiling {source.name} for Hexagon {generation}",
        environment={"PYTHONPATH": python_path(target_folder("hexagon") / "site"), "PYTHONSAFEPATH": "1"},
        time_limit_s=_COMPILE_TIME_LIMIT_S,
    )
    return out.read_bytes()
