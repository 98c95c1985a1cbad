"""Targets whose program is JavaScript, which uses the artifact's own types; this side converts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from pocketvae.benchmarks.execution.running import interface_problem
from pocketvae.benchmarks.remote.channel import ChannelRun
from pocketvae.benchmarks.remote.messages import Job, Port, Ran
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ArtifactFault, TargetError
from pocketvae.processes.rpc import Channel
from pocketvae.runtimes.base import Array, FloatArray, dequantize, quantize
from pocketvae.spec import TensorSpec


class ScriptRun(ChannelRun):
    """Converts around the jobs of a `ChannelRun` and compares the interface here."""

    def __init__(self, name: str, channel: Channel, bundle: Bundle, *, accelerator: str = "cpu") -> None:
        """Greets the program.

        Args:
            name: Of the target.
            channel: Closed with this run.
            bundle: Its files are named to the program, which is served from their folder or reads them there.
            accelerator: What every job runs on.

        Raises:
            TargetError: it does not answer.
        """
        self._accelerator, self._image_range = accelerator, bundle.manifest.vae.data_range
        super().__init__(name, channel, bundle)

    def job(self, artifact: ArtifactRecord, num_threads: int) -> Job:
        """See `ChannelRun.job`."""
        job = super().job(artifact, num_threads)
        return replace(job, location=self.location(artifact), accelerator=self._accelerator)

    def feed(self, artifact: ArtifactRecord, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """See `ChannelRun.feed`: inputs as the artifact takes them.

        Raises:
            TargetError: one is missing, or is none of the artifact's.
        """
        specs = {spec.name: spec for spec in artifact.inputs}
        if set(specs) != set(inputs):
            raise TargetError(f"{self._name}: inputs must be {sorted(specs)}, got {sorted(inputs)}")
        return {name: quantize(np.asarray(values), specs[name], self._image_range) for name, values in inputs.items()}

    def received(
        self,
        artifact: ArtifactRecord,
        ran: Ran,
        outputs: Mapping[str, Array],
        inputs: Mapping[str, Array],
        batch: int,
    ) -> dict[str, FloatArray]:
        """See `ChannelRun.received`."""
        _check_interface(artifact, ran, batch)
        specs = {spec.name: spec for spec in artifact.outputs}
        if set(outputs) != set(specs):
            raise ArtifactFault("interface", f"outputs must be {sorted(specs)}, got {sorted(outputs)}")
        count = len(next(iter(inputs.values())))
        for name, array in outputs.items():
            if array.shape != (count, *specs[name].shape[1:]):
                raise ArtifactFault("interface", f"output {name!r} must be {specs[name].shape}, got {array.shape}")
        return {name: dequantize(array, specs[name], self._image_range) for name, array in outputs.items()}

    def location(self, artifact: ArtifactRecord) -> str:
        """Returns where the program finds an artifact: by default its path on this machine."""
        return str(self._bundle.artifact_path(artifact).absolute())


def write_scripts(folder: Path, names: tuple[str, ...]) -> None:
    """Copies programs of this package into a folder, from wherever the package is."""
    for name in names:
        (folder / name).write_bytes(script_bytes(name))


def script_bytes(name: str) -> bytes:
    """Returns a program of this package."""
    return resources.files("pocketvae.benchmarks.remote").joinpath(name).read_bytes()


def _check_interface(artifact: ArtifactRecord, ran: Ran, batch: int) -> None:
    found = [
        {port.name: _seen(port, declared) for port in ports or ()}
        for ports, declared in ((ran.inputs, artifact.inputs), (ran.outputs, artifact.outputs))
    ]
    problem = interface_problem(artifact, found[0], found[1], batch)
    if problem:
        raise ArtifactFault("interface", problem)


def _seen(port: Port, declared: tuple[TensorSpec, ...]) -> TensorSpec:
    """Returns a port as an interface; what JavaScript does not tell, the quantization, is as declared."""
    known = {spec.name: spec for spec in declared}.get(port.name)
    return TensorSpec(
        name=port.name, dtype=port.dtype, shape=port.shape, quantization=known.quantization if known else None
    )
