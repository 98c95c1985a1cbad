"""The remote runner for tract, which reads ONNX files, in a separate process."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.benchmarks.remote.messages import Job, Timed, TimedJob
from pocketvae.benchmarks.remote.runner import RemoteRunner, require_one_thread
from pocketvae.errors import ParityError
from pocketvae.runtimes.base import Array, Optimizations, Runner
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format

# Names of element types in the shapes that tract is told.
_DTYPES = {"float32": "f32", "float16": "f16", "int32": "i32", "int64": "i64", "uint8": "u8", "int8": "i8"}
# What tract says is followed by a trace of Rust functions.
_TRACE = "Stack backtrace:"


class TractRemoteRunner(RemoteRunner):
    """Runs ONNX artifacts with tract in place of onnxruntime."""

    def open(self, path: Path, job: Job) -> Runner:
        """See `RemoteRunner.open`."""
        return TractRunner(path, job.batch)

    def time(self, job: TimedJob, inputs: Mapping[str, Array]) -> Timed:
        """See `RemoteRunner.time`: its Python package takes no number of threads."""
        require_one_thread(job.threads, "tract computes with one thread")
        return super().time(job, inputs)

    def facts(self) -> dict[str, str]:
        """See `RemoteRunner.facts`."""
        return {**super().facts(), "tract": version("tract")}


class TractRunner(Runner):
    """One file in tract; its interface is what onnxruntime finds, since tract renames outputs."""

    def __init__(self, path: Path, batch: int) -> None:
        """Reads and optimizes a file.

        Raises:
            ParityError: tract does not support it; the message has the operator that it names.
        """
        tract: Any = importlib.import_module("tract")
        with open_runner(path, Format.ONNX, optimizations=Optimizations.OFF, batch=batch) as own:
            self.inputs, self.outputs = own.inputs, own.outputs
        self.batch, self.batches = batch, (batch,)
        self.runtime = f"tract {version('tract')}"
        try:
            model = tract.onnx().load(str(path))
            self._order = [model.input_name(index) for index in range(model.input_count())]
            for index, name in enumerate(self._order):
                spec = self.inputs[name]
                model.set_input_fact(index, ",".join([*map(str, spec.shape), _DTYPES[spec.dtype]]))
            self._model: Any = model.into_model().into_runnable()
        except tract.TractError as e:
            raise ParityError(f"tract cannot load {path.name}: {_reason(str(e))}") from e

    def _invoke(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner._invoke`: outputs are in the file's order."""
        found = self._model.run([np.ascontiguousarray(feed[name]) for name in self._order])
        return {name: tensor.to_numpy() for name, tensor in zip(self.outputs, found, strict=True)}

    def close(self) -> None:
        """See `Runner.close`."""
        self._model = None


def _reason(said: str) -> str:
    """Returns tract's error on one line, without its trace: the operator, and what is wrong with it."""
    lines = [line.strip() for line in said.partition(_TRACE)[0].splitlines()]
    return ": ".join(line for line in lines if line and line != "Caused by:")[:300]
