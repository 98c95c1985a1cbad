"""The remote runner for LiteRT's GPU accelerator, in a separate process: a graphics driver can end it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.benchmarks.remote.accelerators import deviation_from_cpu, gpu_refusal
from pocketvae.benchmarks.remote.messages import Job, Timed, TimedJob
from pocketvae.benchmarks.remote.runner import RemoteRunner, require_one_thread
from pocketvae.errors import TargetError, missing_package
from pocketvae.runtimes.base import Array, FloatArray, Optimizations, Runner
from pocketvae.runtimes.litert import LiteRtRunner
from pocketvae.spec import signature_key
from pocketvae.system.quiet import captured_stderr

_ADAPTER = re.compile(r"Selected adapter: ([^,\n]+)")


class GraphicsRemoteRunner(RemoteRunner):
    """Runs TFLite artifacts on the GPU alone: what it does not take is an error, never left to the CPU."""

    def __init__(self, folder: Path, *, is_float32: bool = False) -> None:
        """See `RemoteRunner.__init__`; `is_float32` asks for single precision, as an app can."""
        super().__init__(folder)
        self._is_float32 = is_float32

    def open(self, path: Path, job: Job) -> Runner:
        """See `RemoteRunner.open`: on the GPU alone."""
        return GraphicsRunner(path, job.batch, is_float32=self._is_float32)

    def time(self, job: TimedJob, inputs: Mapping[str, Array]) -> Timed:
        """See `RemoteRunner.time`."""
        require_one_thread(job.threads, "a GPU does not compute with the CPU's threads")
        return super().time(job, inputs)

    def figures(
        self, path: Path, job: Job, inputs: Mapping[str, Array], outputs: Mapping[str, FloatArray]
    ) -> dict[str, float]:
        """See `RemoteRunner.figures`: how far the outputs are from the CPU's."""
        return {"cpu_max_abs": _deviation(path, job, inputs, outputs)}

    def facts(self) -> dict[str, str]:
        """See `RemoteRunner.facts`; the adapter is what computes."""
        return {**super().facts(), "adapter": adapter(self._folder)}


class GraphicsRunner(Runner):
    """One TFLite file on the GPU."""

    def __init__(self, path: Path, batch: int, *, is_float32: bool = False) -> None:
        """Compiles the file for the GPU alone, which chooses half precision where it can unless told otherwise.

        Raises:
            TargetError: the GPU does not support an operator of it, or there is none.
        """
        library = _library()
        with LiteRtRunner(path, num_threads=1, optimizations=Optimizations.ON, batch=batch) as named:
            self.inputs, self.outputs = named.inputs, named.outputs
        self.batch, self.batches = batch, (batch,)
        with captured_stderr() as said:
            try:
                self._model = library.CompiledModel.from_file(str(path), options=library.options(is_float32))
                self._index = self._model.get_signature_index(signature_key(batch))
                names = self._model.get_signature_by_index(self._index)
                self._inputs = dict(zip(names["inputs"], self._model.create_input_buffers(self._index), strict=True))
                self._outputs = dict(zip(names["outputs"], self._model.create_output_buffers(self._index), strict=True))
                failure = ""
            except RuntimeError as e:
                failure = str(e)
        if failure:
            raise TargetError(gpu_refusal(said.text, failure))
        self.runtime = f"ai-edge-litert {library.version}, GPU"

    def _invoke(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner._invoke`."""
        for name, buffer in self._inputs.items():
            buffer.write(np.ascontiguousarray(feed[name]))
        self._model.run_by_index(self._index, list(self._inputs.values()), list(self._outputs.values()))
        results = {}
        for name, buffer in self._outputs.items():
            spec = self.outputs[name]
            values = buffer.read(int(np.prod(spec.shape)), np.dtype(spec.dtype).type)
            results[name] = np.array(values).reshape(spec.shape)
        return results

    def close(self) -> None:
        """See `Runner.close`."""
        with captured_stderr():
            self._inputs, self._outputs = {}, {}
            self._model.close()


def adapter(folder: Path) -> str:
    """Returns the device that computes, as its driver names it.

    It is chosen when a file is compiled, so the first of a folder is; what the GPU does not take goes to the CPU here.
    """
    library, files = _library(), sorted(folder.glob("*.tflite"))
    accelerators = library.HardwareAccelerator.GPU | library.HardwareAccelerator.CPU
    with captured_stderr() as said, contextlib.suppress(RuntimeError):
        for path in files[:1]:
            library.CompiledModel.from_file(str(path), accelerators).close()
    found = _ADAPTER.search(said.text)
    return found[1].strip() if found else "unknown"


class _Library:
    def __init__(self) -> None:
        from importlib.metadata import version

        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.hardware_accelerator import HardwareAccelerator
        from ai_edge_litert.options import GpuOptions, Options

        self.CompiledModel: Any = CompiledModel
        self.HardwareAccelerator: Any = HardwareAccelerator
        self.Options: Any = Options
        self.GpuOptions: Any = GpuOptions
        self.version = version("ai-edge-litert")

    def options(self, is_float32: bool) -> Any:
        gpu = self.GpuOptions(enforce_f32=is_float32)
        return self.Options(hardware_accelerators=self.HardwareAccelerator.GPU, gpu_options=gpu)


def _library() -> _Library:
    try:
        return _Library()
    except ImportError as e:
        raise missing_package("ai-edge-litert", "run") from e


def _deviation(path: Path, job: Job, inputs: Mapping[str, Array], outputs: Mapping[str, FloatArray]) -> float:
    """Returns how far the outputs are from those of this machine's CPU.

    Raises:
        TargetError: as `deviation_from_cpu`.
    """
    with LiteRtRunner(path, num_threads=1, optimizations=Optimizations.ON, batch=job.batch) as runner:
        return deviation_from_cpu("the GPU", job.precision, outputs, runner.run_samples(inputs, job.image_range))
