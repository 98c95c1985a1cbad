"""The values of every tensor inside an artifact for some samples, on the runtime's built-in kernels.

Kernels that fuse layers never write the intermediate tensors, so this differs from the computation in apps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import missing_package
from pocketvae.runtimes.base import Array, quantize
from pocketvae.spec import Format, TensorSpec

Values = dict[str, npt.NDArray[np.float64]]


def layer_values(path: Path, format: Format, inputs: Mapping[str, Array], specs: Mapping[str, TensorSpec]) -> Values:
    """Returns the values `[N, *shape]` of each tensor by name, in the order of execution.

    Args:
        path: The artifact.
        format: Its format.
        inputs: Inputs `[N, ...]` by name, as real numbers.
        specs: Interface of each input by name.

    Raises:
        TargetError: a package that is needed to read the tensors is not installed.
    """
    return (_tflite_values if format is Format.TFLITE else _onnx_values)(path, inputs, specs)


def _tflite_values(path: Path, inputs: Mapping[str, Array], specs: Mapping[str, TensorSpec]) -> Values:
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError as e:
        raise missing_package("ai-edge-litert", "run") from e
    content = path.read_bytes()
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(content)).subgraphs[0]
    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    places = _input_places(interpreter)
    wanted = [int(index) for operator in graph.operators for index in operator.outputs]
    details = {item["index"]: item for item in interpreter.get_tensor_details()}
    collected: dict[int, list[npt.NDArray[np.float64]]] = {index: [] for index in wanted}
    for feed in _samples(inputs, specs):
        for name, array in feed.items():
            interpreter.set_tensor(places[name], array)
        interpreter.invoke()
        for index in wanted:
            collected[index].append(_real(interpreter.get_tensor(index), details[index]["quantization"]))
    return {details[index]["name"]: np.stack(values) for index, values in collected.items()}


def _input_places(interpreter: Any) -> dict[str, int]:
    # A live signature runner keeps references, and with them the interpreter refuses to run.
    details = interpreter.get_signature_runner().get_input_details()
    return {name: int(item["index"]) for name, item in details.items()}


def _onnx_values(path: Path, inputs: Mapping[str, Array], specs: Mapping[str, TensorSpec]) -> Values:
    try:
        import onnx
    except ImportError as e:
        raise missing_package("onnx", "export") from e
    import onnxruntime as ort

    model = onnx.load(path)
    known = {output.name for output in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    collected: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in names}
    for feed in _samples(inputs, specs):
        for name, value in zip(names, session.run(names, feed), strict=True):
            collected[name].append(np.asarray(value, np.float64))
    return {name: np.stack(values) for name, values in collected.items()}


def _samples(inputs: Mapping[str, Array], specs: Mapping[str, TensorSpec]) -> list[dict[str, Array]]:
    count = len(next(iter(inputs.values())))
    return [{name: quantize(values[i : i + 1], specs[name]) for name, values in inputs.items()} for i in range(count)]


def _real(array: Array, quantization: tuple[float, int]) -> npt.NDArray[np.float64]:
    scale, zero_point = quantization
    values = array.astype(np.float64)
    return values if not scale else (values - zero_point) * scale
