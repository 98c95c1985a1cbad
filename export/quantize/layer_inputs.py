"""What the layers of a TFLite file weight on samples: a row for each output, for convolutions a row for each pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.original.goldens import thinned
from pocketvae.formats.tflite.model import (
    is_quantized,
    main_inputs,
    main_signature,
    operator_name,
    read_model,
    schema,
    tensor_name,
    tensor_shape,
    write_model,
)
from pocketvae.runtimes.litert import open_interpreter

Inputs = Mapping[str, npt.NDArray[Any]]

DENSE, CONVOLUTION = "FULLY_CONNECTED", "CONV_2D"
# Of all pixels of all samples, which mostly tell the same.
_MOST_ROWS = 2**15
_BLOCK_ROWS = 2**11
# Of what a layer is given, held at once: fewer samples of large images, which have many pixels.
_MOST_VALUES, _FEWEST_SAMPLES = 2**24, 4


@dataclass(frozen=True, kw_only=True)
class _Window:
    """How a convolution moves along one axis."""

    size: int
    stride: int
    dilation: int
    same: bool

    def count(self, length: int) -> int:
        """Returns the number of outputs."""
        return -(-(length if self.same else length - self.reach + 1) // self.stride)

    def padding(self, length: int) -> tuple[int, int]:
        """Returns the zeros before and behind a line of inputs."""
        total = max(0, (self.count(length) - 1) * self.stride + self.reach - length) if self.same else 0
        return total // 2, total - total // 2

    @property
    def reach(self) -> int:
        """The inputs from the first to the last of one output."""
        return (self.size - 1) * self.dilation + 1

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """The place of each weight."""
        return np.arange(self.size) * self.dilation


def layer_inputs(
    content: bytes, layer: str, inputs: Inputs, most_rows: int = _MOST_ROWS
) -> Iterator[npt.NDArray[np.float32]]:
    """Yields what a layer weights, in blocks of rows `[rows, K]` with K as in its weights `[O, K]` or `[O, h, w, C]`.

    Args:
        content: The file, with inputs in float; what comes after the layer's data is not computed.
        layer: First name of its output tensor.
        inputs: Samples, input name to `[N, ...]`.
        most_rows: Of a convolution, which has a row for each pixel; always the same ones.
    """
    model = read_model(content)
    graph = model.subgraphs[0]
    operator = next(item for item in graph.operators if first_name(graph, item) == layer)
    shape = tensor_shape(graph.tensors[operator.inputs[1]])
    windows = _windows(operator.builtinOptions, shape) if operator_name(model, operator) == CONVOLUTION else None
    data = graph.tensors[operator.inputs[0]]
    scale, zero_point = _scale(data)
    most = max(_FEWEST_SAMPLES, _MOST_VALUES // math.prod(tensor_shape(data)))
    values = _values(model, operator, thinned(inputs, most))
    rows = _pixels(values, windows, zero_point, most_rows) if windows else iter(np.array_split(values, 8))
    for block in rows:
        yield ((block.astype(np.float32) - zero_point) * np.float32(scale)).reshape(-1, int(np.prod(shape[1:])))


def first_name(graph: Any, operator: Any) -> str:
    """Returns the name of an operator's first output as it was before the quantizer fused others with it.

    The converter calls what it turns into floats at the end of a file of 16 bits by another name than the output.
    """
    return tensor_name(graph.tensors[operator.outputs[0]]).split(";")[0].removesuffix("_int16")


def _scale(tensor: Any) -> tuple[float, int]:
    if not is_quantized(tensor):
        return 1.0, 0
    return float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


def _values(model: Any, operator: Any, inputs: Inputs) -> npt.NDArray[Any]:
    """Returns what an operator reads first on each sample, without the file's batch of 1."""
    graph, read, places = model.subgraphs[0], operator.inputs[0], main_inputs(model)
    given = next((name for name, place in places.items() if place == read), None)
    if given is not None:
        return inputs[given]
    graph.operators = graph.operators[: graph.operators.index(operator)]
    graph.outputs = [read]
    signature = main_signature(model)
    signature.outputs = signature.outputs[:1]
    signature.outputs[0].tensorIndex = read
    interpreter = open_interpreter(write_model(model))
    (output,) = interpreter.get_output_details()
    types = {item["index"]: item["dtype"] for item in interpreter.get_input_details()}
    rows = []
    for index in range(len(next(iter(inputs.values())))):
        for name, place in places.items():
            interpreter.set_tensor(place, inputs[name][index : index + 1].astype(types[place]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(output["index"])[0])
    return np.stack(rows)


def _windows(options: Any, shape: Sequence[int]) -> tuple[_Window, _Window]:
    same = options.padding == schema().Padding.SAME
    return (
        _Window(size=shape[1], stride=options.strideH, dilation=options.dilationHFactor, same=same),
        _Window(size=shape[2], stride=options.strideW, dilation=options.dilationWFactor, same=same),
    )


def _pixels(
    values: npt.NDArray[Any], windows: tuple[_Window, _Window], zero_point: int, most_rows: int
) -> Iterator[npt.NDArray[Any]]:
    """Yields `[rows, h, w, C]`: what some outputs of each sample are made of, always the same ones."""
    height, width = values.shape[1:3]
    down, right = windows
    edges = ((0, 0), down.padding(height), right.padding(width), (0, 0))
    padded = np.pad(values, edges, constant_values=zero_point)
    outputs = down.count(height) * right.count(width)
    rng = np.random.default_rng(0)
    per_sample = min(outputs, max(1, most_rows // len(values)))
    samples = max(1, _BLOCK_ROWS // per_sample)
    for start in range(0, len(values), samples):
        block = padded[start : start + samples]
        chosen = [rng.choice(outputs, per_sample, replace=False) for _ in block]
        tops, lefts = np.divmod(np.concatenate(chosen), right.count(width))
        places = np.repeat(np.arange(len(block)), per_sample)[:, None, None]
        yield block[
            places,
            (tops * down.stride)[:, None, None] + down.steps[None, :, None],
            (lefts * right.stride)[:, None, None] + right.steps[None, None, :],
        ]
