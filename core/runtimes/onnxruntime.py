"""Runner of ONNX artifacts on onnxruntime's CPU provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import cast

from pocketvae.errors import ParityError, missing_package
from pocketvae.runtimes.base import Array, Kernels, Runner, check_batch
from pocketvae.spec import TensorSpec

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


class OnnxRunner(Runner):
    """Runs one ONNX file, single stream, with as many threads as asked for."""

    def __init__(self, path: Path, *, num_threads: int, kernels: Kernels, batch: int = 1) -> None:
        """Loads the file and builds its session.

        Raises:
            SpecError: the file does not support the batch size.
            ParityError: the file is damaged or needs an operator that onnxruntime does not have.
            TargetError: onnxruntime is not installed.
        """
        try:
            import onnxruntime as ort
        except ImportError as e:
            raise missing_package("onnxruntime", "run") from e
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads that spin disturb whatever else is measured or served on the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0" if num_threads == 1 else "1")
        if kernels is Kernels.BUILTIN:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as e:  # onnxruntime raises many unrelated types for a file that it cannot load
            message = " ".join(str(e).split())[:200]
            raise ParityError(f"onnxruntime cannot load {path}: {message}") from e
        self.runtime = f"onnxruntime {version('onnxruntime')}"
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.batch, self.batches = batch, _batches(inputs)
        check_batch(batch, self.batches)
        self.inputs = {node.name: _tensor_spec(path, node, batch) for node in inputs}
        self.outputs = {node.name: _tensor_spec(path, node, batch) for node in outputs}
        self._output_names = list(self.outputs)

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner.run`."""
        values = self._session.run(self._output_names, dict(feed))
        return dict(zip(self._output_names, cast("list[Array]", values), strict=True))

    def close(self) -> None:
        """See `Runner.close`."""
        del self._session


def _batches(inputs: Sequence[object]) -> tuple[int, ...]:
    """Returns the only batch size of a file, nothing where its first dimensions are open."""
    sizes = {shape[0] for node in inputs if (shape := getattr(node, "shape", ()))}
    return tuple(size for size in sizes if isinstance(size, int))


def _tensor_spec(path: Path, node: object, batch: int) -> TensorSpec:
    name, kind, shape = (getattr(node, attribute) for attribute in ("name", "type", "shape"))
    if shape and not isinstance(shape[0], int):
        shape = [batch, *shape[1:]]
    if kind not in _DTYPES:
        raise ParityError(f"{path}: tensor {name!r} has the type {kind}, known: {', '.join(_DTYPES)}")
    if not all(isinstance(size, int) for size in shape):
        raise ParityError(f"{path}: tensor {name!r} must have a fixed shape, got {shape}")
    return TensorSpec(name=name, dtype=_DTYPES[kind], shape=tuple(shape))
