"""The remote runner for TensorFlow Lite Micro, the interpreter that firmware links, in a separate process."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pocketvae.benchmarks.remote.messages import Job, Timed, TimedJob
from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.errors import TargetError
from pocketvae.runtimes.base import Array, FloatArray, Optimizations, Runner
from pocketvae.runtimes.litert import LiteRtRunner, ReferenceRunner
from pocketvae.spec import Precision, TensorSpec

_LARGEST_ARENA_BYTES = 256 << 20
# TensorFlow Lite Micro aligns its arena to 16 bytes.
_ARENA_STEP_BYTES = 16


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
        self._interpreter = _interpreter(path.read_bytes(), arena_bytes)
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


@functools.lru_cache(maxsize=2)
def smallest_arena_bytes(content: bytes) -> int:
    """Returns the size of the smallest arena in which a model can be loaded and called, by bisection.

    Raises:
        TargetError: there is none; the message has the interpreter's own reason.
    """
    too_small, enough = 0, 1 << 14
    while (problem := _problem(content, enough)) and enough < _LARGEST_ARENA_BYTES:
        too_small, enough = enough, 4 * enough
    if problem:
        raise TargetError(f"TensorFlow Lite Micro cannot load it: {problem}")
    while enough - too_small > _ARENA_STEP_BYTES:
        middle = (enough + too_small) // 2 // _ARENA_STEP_BYTES * _ARENA_STEP_BYTES
        too_small, enough = (middle, enough) if _problem(content, middle) else (too_small, middle)
    return enough


def _problem(content: bytes, arena_bytes: int) -> str:
    """Says why a model cannot be used in an arena; empty where it can.

    It is tried in a process of its own: in an arena a little too small the interpreter writes past the end.
    """
    if sys.platform == "win32":
        raise TargetError("the target tflm needs Linux: tflite-micro has no wheels for another system")
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _try_and_exit(content, arena_bytes, said.fileno())
        _, status = os.waitpid(child, 0)
        if status == 0:
            return ""
        said.seek(0)
        lines = [line.strip() for line in said.read().decode("utf-8", "replace").splitlines()]
    return next((line for line in lines if line), "its process ended")


def _try_and_exit(content: bytes, arena_bytes: int, descriptor: int) -> NoReturn:
    """Loads a model and calls it once; never returns."""
    os.dup2(descriptor, 2)
    try:
        interpreter = _interpreter(content, arena_bytes)
        interpreter.invoke()
    except BaseException:
        os._exit(1)
    os._exit(0)


def _interpreter(content: bytes, arena_bytes: int) -> Any:
    from tflite_micro import runtime

    return runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)


def _found(spec: TensorSpec, details: Mapping[str, Any]) -> TensorSpec:
    """Returns an interface with the type and shape that TensorFlow Lite Micro found."""
    shape = tuple(int(size) for size in details["shape"])
    return TensorSpec(
        name=spec.name, dtype=np.dtype(details["dtype"]).name, shape=shape, quantization=spec.quantization
    )
