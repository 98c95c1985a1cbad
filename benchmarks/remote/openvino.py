"""The remote runner for OpenVINO, which reads TFLite and ONNX files as they are, in a separate process."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.benchmarks.remote.messages import Job
from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.errors import ParityError
from pocketvae.runtimes.base import Array, Optimizations, Runner
from pocketvae.runtimes.litert import LiteRtRunner
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format

# In float32, as everywhere else: OpenVINO would choose half precision or bfloat16 where a processor has them.
_OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1"}


class OpenVinoRemoteRunner(RemoteRunner):
    """Runs artifacts with OpenVINO's CPU plugin in place of LiteRT and onnxruntime."""

    def open(self, path: Path, job: Job) -> Runner:
        """See `RemoteRunner.open`."""
        return OpenVinoRunner(path, job.format, job.threads, job.batch)

    def facts(self) -> dict[str, str]:
        """See `RemoteRunner.facts`."""
        return {**super().facts(), "openvino": version("openvino")}


class OpenVinoRunner(Runner):
    """One file in OpenVINO; its interface is what the format's own runtime finds."""

    def __init__(self, path: Path, format: Format, num_threads: int, batch: int) -> None:
        """Compiles a file.

        Raises:
            ParityError: OpenVINO does not support it.
        """
        openvino: Any = importlib.import_module("openvino")
        options = {**_OPTIONS, "INFERENCE_NUM_THREADS": str(num_threads)}
        with open_runner(path, format, optimizations=Optimizations.OFF, batch=batch) as own:
            self.inputs, self.outputs = own.inputs, own.outputs
            self._orders = _places(own)
        self.batch, self.batches = batch, (batch,)
        self.runtime = f"openvino {version('openvino')}"
        try:
            core = openvino.Core()
            model = core.read_model(str(path))
            compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as e:
            raise ParityError(f"OpenVINO cannot load {path.name}: {str(e).strip().splitlines()[-1][:200]}") from e
        self._request: Any = compiled.create_infer_request()

    def _invoke(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner._invoke`."""
        inputs, outputs = self._orders
        values = {place: feed[name] for place, name in inputs.items()}
        found = self._request.infer(values)
        return {name: np.array(found[place]) for place, name in outputs.items()}

    def close(self) -> None:
        """See `Runner.close`."""
        self._request = None


def _places(own: Runner) -> tuple[dict[int | str, str], dict[int | str, str]]:
    """Returns by what OpenVINO calls them the names of inputs and outputs, as the format's own runtime has them.

    The tensors of a TFLite file have the graph's names there, not the signature's, so they go by their order.
    """
    if isinstance(own, LiteRtRunner):
        inputs, outputs = own.order()
        return dict(enumerate(inputs)), dict(enumerate(outputs))
    return {name: name for name in own.inputs}, {name: name for name in own.outputs}
