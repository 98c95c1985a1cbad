"""Quantization of ONNX models with onnxruntime's tools.

Weights are uint8, not int8: on x86 CPUs without VNNI, onnxruntime's int8 kernels add pairs of products in 16 bits and
saturate. On a decoder that was seen as an error of 211/255 that another CPU does not show. uint8 weights take
the kernels that do not saturate, so that the result does not depend on the CPU.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.tflite import LOGIT_BOUND

FloatArray = npt.NDArray[np.float32]

_WEIGHTED = ("Gemm", "MatMul", "Conv", "ConvTranspose")
# Operators that move or bound values: quantizing them too keeps the integers flowing between weighted layers.
_PASSIVE = ("Relu", "DepthToSpace", "Reshape", "Transpose", "Flatten", "Pad", "MaxPool", "Slice")


def quantize_dynamic(float32: bytes) -> bytes:
    """Quantizes weights to uint8 per channel; activations are quantized as they come."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization import quantize_dynamic as quantize

    with _Workspace(float32) as workspace:
        quantize(workspace.source, workspace.target, per_channel=True, weight_type=QuantType.QUInt8)
        return workspace.result()


def quantize_static(
    float32: bytes, input_name: str, calibration: FloatArray, *, float_layers: tuple[str, ...] = ()
) -> bytes:
    """Quantizes to QDQ form, uint8 weights per channel and uint8 activations; a sigmoid stays in float.

    Args:
        float32: The float model.
        input_name: Of the model.
        calibration: `[N, ...]` samples of the input.
        float_layers: Names of nodes to keep in float, from `weighted_layers`.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._samples: Iterator[FloatArray] = iter(calibration)

        def get_next(self) -> dict[str, FloatArray] | None:
            sample = next(self._samples, None)
            return None if sample is None else {input_name: sample[None]}

    with _Workspace(float32) as workspace:
        quantize(
            workspace.source,
            workspace.target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*_WEIGHTED, *_PASSIVE],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=list(float_layers),
            extra_options={"WeightSymmetric": True, "TensorQuantOverrides": _logit_ranges(float32)},
        )
        return workspace.result()


def weighted_layers(float32: bytes) -> dict[str, int]:
    """Returns the nodes that hold weights: name to the number of weights, in graph order."""
    import onnx

    graph = onnx.load_from_string(float32).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    return {
        node.name: sum(sizes.get(name, 0) for name in node.input)
        for node in graph.node
        if node.op_type in _WEIGHTED and any(name in sizes for name in node.input)
    }


def _logit_ranges(float32: bytes) -> dict[str, list[dict[str, Any]]]:
    """Limits the range in front of a sigmoid, and of what merely moves values there, see `tflite.LOGIT_BOUND`."""
    import onnx

    graph = onnx.load_from_string(float32).graph
    producers = {output: node for node in graph.node for output in node.output}
    limits = [{"rmin": np.float32(-LOGIT_BOUND), "rmax": np.float32(LOGIT_BOUND)}]
    ranges: dict[str, list[dict[str, Any]]] = {}
    for sigmoid in (node for node in graph.node if node.op_type == "Sigmoid"):
        name = sigmoid.input[0]
        ranges[name] = limits
        while name in producers and producers[name].op_type in ("DepthToSpace", "Reshape", "Transpose", "Slice"):
            name = producers[name].input[0]
            ranges[name] = limits
    return ranges


class _Workspace:
    """A temporary folder: onnxruntime's quantizers read and write files."""

    def __init__(self, float32: bytes) -> None:
        self._content = float32

    def __enter__(self) -> _Workspace:
        self._folder = tempfile.TemporaryDirectory(prefix="pocketvae-")
        self.source = Path(self._folder.name) / "float32.onnx"
        self.target = Path(self._folder.name) / "quantized.onnx"
        self._prepare()
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def _prepare(self) -> None:
        from onnxruntime.quantization.shape_inference import quant_pre_process

        logging.getLogger().setLevel(logging.ERROR)
        raw = Path(self._folder.name) / "raw.onnx"
        raw.write_bytes(self._content)
        quant_pre_process(str(raw), str(self.source), skip_symbolic_shape=True)

    def result(self) -> bytes:
        import onnx

        from pocketvae.export.onnx_convert import serialize

        model = onnx.load(self.target)
        onnx.checker.check_model(model, full_check=True)
        return serialize(model)
