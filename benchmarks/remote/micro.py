"""The remote runner for TensorFlow Lite Micro, the interpreter that firmware links, in a separate process."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.benchmarks.remote.messages import Job, Timed, TimedJob
from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.errors import TargetError
from pocketvae.portability.tflm_arena import micro_interpreter, smallest_arena_bytes
from pocketvae.runtimes.base import Array, FloatArray, Optimizations, Runner
from pocketvae.runtimes.litert import LiteRtRunner, ReferenceRunner
from pocketvae.spec import Precision, TensorSpec


class MicroRemoteRunner(RemoteRunner):
    """Runs artifacts with TensorFlow Lite Micro in place of LiteRT."""

    def open(self, path: Path, job: Job) -> Runner:
        """See `RemoteRunner.open`."""
        if job.batch != 1:
            raise TargetError("TensorFlow Lite Micro only runs a file's first signature, with batch size 1")
        return MicroRunner(path, smallest_arena_bytes(path.read_bytes()))

    def figures(
        self, path: Path, job: Job, inputs: Mapping[str, Array], outputs: Mapping[str, FloatArray]
    ) -> dict[str, float]:
        """See `RemoteRunner.figures`: the arena, and how far the outputs are from LiteRT's on this machine."""
        arena_bytes = smallest_arena_bytes(path.read_bytes())
        return {"arena_bytes": float(arena_bytes), **_deviation(path, job, inputs, outputs)}

    def time(self, job: TimedJob, inputs: Mapping[str, Array]) -> Timed:
        """See `RemoteRunner.time`.

        Raises:
            TargetError: always, since the kernels here are not those of a microcontroller.
        """
        raise TargetError("latency here says nothing about a microcontroller")

    def facts(self) -> dict[str, str]:
        """See `RemoteRunner.facts`."""
        return {**super().facts(), "tflite-micro": version("tflite-micro")}


class MicroRunner(Runner):
    """One file in the interpreter; names come from LiteRT, for TensorFlow Lite Micro keeps none."""

    def __init__(self, path: Path, arena_bytes: int) -> None:
        """Loads the file into an arena that is large enough."""
        self._interpreter = micro_interpreter(path.read_bytes(), arena_bytes)
        with LiteRtRunner(path, num_threads=1, optimizations=Optimizations.OFF) as named:
            self._input_names, self._output_names = named.order()
            inputs, outputs = named.inputs, named.outputs
        found_in = [self._interpreter.get_input_details(i) for i in range(len(self._input_names))]
        found_out = [self._interpreter.get_output_details(i) for i in range(len(self._output_names))]
        self.inputs = {name: _found(inputs[name], d) for name, d in zip(self._input_names, found_in, strict=True)}
        self.outputs = {name: _found(outputs[name], d) for name, d in zip(self._output_names, found_out, strict=True)}
        self.batch, self.batches = 1, (1,)
        self.runtime = f"tflite-micro {version('tflite-micro')}"

    def _invoke(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner._invoke`."""
        for index, name in enumerate(self._input_names):
            self._interpreter.set_input(feed[name], index)
        self._interpreter.invoke()
        return {name: np.array(self._interpreter.get_output(i)) for i, name in enumerate(self._output_names)}

    def close(self) -> None:
        """See `Runner.close`."""
        del self._interpreter


def _deviation(
    path: Path, job: Job, inputs: Mapping[str, Array], outputs: Mapping[str, FloatArray]
) -> dict[str, float]:
    """Returns how far the outputs are from those of the LiteRT kernels that compute most alike.

    Float kernels are LiteRT's reference kernels, bit for bit. Integer kernels come closest to the built-in ones, but
    round a multiplication and a sigmoid in other ways.
    """
    kind = ReferenceRunner if job.precision is Precision.FLOAT32 else LiteRtRunner
    with kind(path, num_threads=1, optimizations=Optimizations.OFF) as runner:
        expected = runner.run_samples(inputs, job.image_range)
    largest = max(float(np.abs(outputs[name] - expected[name]).max()) for name in expected)
    return {"reference_max_abs" if kind is ReferenceRunner else "builtin_max_abs": largest}


def _found(spec: TensorSpec, details: Mapping[str, Any]) -> TensorSpec:
    """Returns an interface with the type and shape that TensorFlow Lite Micro found."""
    shape = tuple(int(size) for size in details["shape"])
    return TensorSpec(
        name=spec.name, dtype=np.dtype(details["dtype"]).name, shape=shape, quantization=spec.quantization
    )
