"""A target whose program is JavaScript: it takes and returns the artifact's own types, and this side converts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from pocketvae.benchmarks.execution.protocol import ArtifactFault, Latency, interface_problem
from pocketvae.benchmarks.remote.channel import Channel, ChannelRun
from pocketvae.benchmarks.remote.messages import Job, Port, pack, unpack
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError
from pocketvae.runtimes.base import Array, FloatArray, Kernels, dequantize, quantize
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
        self._bundle, self._accelerator = bundle, accelerator
        self._image_range = bundle.manifest.vae.image_range
        super().__init__(name, channel)

    def outputs(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        *,
        kernels: Kernels = Kernels.OPTIMIZED,
        num_threads: int = 1,
        batch: int = 1,
    ) -> dict[str, FloatArray]:
        """See `TargetRun.outputs`."""
        answer = self.do(replace(self._job(artifact, inputs, num_threads), kernels=kernels, batch=batch))
        _check_interface(artifact, answer.inputs, answer.outputs, batch)
        arrays = unpack(answer.arrays or {})
        specs = {spec.name: spec for spec in artifact.outputs}
        if set(arrays) != set(specs):
            raise ArtifactFault("interface", f"outputs must be {sorted(specs)}, got {sorted(arrays)}")
        count = len(next(iter(inputs.values())))
        for name, array in arrays.items():
            if array.shape != (count, *specs[name].shape[1:]):
                raise ArtifactFault("interface", f"output {name!r} must be {specs[name].shape}, got {array.shape}")
        return {name: dequantize(array, specs[name], self._image_range) for name, array in arrays.items()}

    def latency(
        self, artifact: ArtifactRecord, inputs: Mapping[str, Array], *, num_threads: int = 1, count: int = 200
    ) -> Latency:
        """See `TargetRun.latency`."""
        first = {name: values[:1] for name, values in inputs.items()}
        return self.timed(replace(self._job(artifact, first, num_threads), timed_calls=count))

    def location(self, artifact: ArtifactRecord) -> str:
        """Returns where the program finds an artifact: by default its path on this machine."""
        return str(self._bundle.artifact_path(artifact).absolute())

    def _job(self, artifact: ArtifactRecord, inputs: Mapping[str, Array], num_threads: int) -> Job:
        specs = {spec.name: spec for spec in artifact.inputs}
        if set(specs) != set(inputs):
            raise TargetError(f"{self._name}: inputs must be {sorted(specs)}, got {sorted(inputs)}")
        feed = {name: quantize(np.asarray(values), specs[name], self._image_range) for name, values in inputs.items()}
        return Job(
            artifact=artifact.name,
            location=self.location(artifact),
            format=artifact.format,
            accelerator=self._accelerator,
            threads=num_threads,
            inputs=pack(feed),
        )


def write_scripts(folder: Path, names: tuple[str, ...]) -> None:
    """Copies programs of this package into a folder, from wherever the package is."""
    for name in names:
        (folder / name).write_bytes(script_bytes(name))


def script_bytes(name: str) -> bytes:
    """Returns a program of this package."""
    return resources.files("pocketvae.benchmarks.remote").joinpath(name).read_bytes()


def _check_interface(
    artifact: ArtifactRecord, inputs: tuple[Port, ...] | None, outputs: tuple[Port, ...] | None, batch: int
) -> None:
    found = [
        {port.name: _seen(port, declared) for port in ports or ()}
        for ports, declared in ((inputs, artifact.inputs), (outputs, artifact.outputs))
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
