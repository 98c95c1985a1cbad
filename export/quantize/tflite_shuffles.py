"""Depth-to-space of integers in place of floats at the end of tuned TFLite files.

What follows the last layer's integers maps value to value, so that depth-to-space may come before it, on a quarter of
the bytes, once for each part. XNNPACK moves elements of 4 bytes fast, such as a row of 4 grey pixels; for other sizes
the floats are moved faster.
"""

from __future__ import annotations

from typing import Any

from pocketvae.formats.tflite.editing import add_tensor, new_operator, place_of
from pocketvae.formats.tflite.model import (
    dtype_name,
    is_constant,
    operator_name,
    read_model,
    tensor_name,
    tensor_shape,
    write_model,
)

_KIND = "DEPTH_TO_SPACE"
_FAST_BYTES = 4
# The first version with int8.
_VERSION = 2
_PER_VALUE = frozenset({"ADD", "SUB", "MUL", "LOGISTIC", "TANH", "RELU", "MINIMUM", "MAXIMUM"})


def with_shuffles_of_integers(content: bytes) -> bytes:
    """Returns a quantized file whose depth-to-space of floats is one of integers, where that is faster."""
    model = read_model(content)
    graph, is_changed = model.subgraphs[0], False
    for shuffle in [item for item in graph.operators if operator_name(model, item) == _KIND]:
        behind = _behind_integers(model, shuffle) if _is_fast(graph, shuffle) else None
        if behind is not None:
            _move(model, shuffle, behind)
            is_changed = True
    return write_model(model) if is_changed else content


def _is_fast(graph: Any, shuffle: Any) -> bool:
    """Whether a row of a block is an element of integers that is moved fast."""
    made = graph.tensors[shuffle.outputs[0]]
    return dtype_name(made) == "float32" and shuffle.builtinOptions.blockSize * tensor_shape(made)[-1] == _FAST_BYTES


def _behind_integers(model: Any, shuffle: Any) -> list[Any] | None:
    """Returns what makes floats of integers and all that is computed from them value by value, up to a shuffle.

    None where anything else reads one of these values, or makes one.
    """
    graph, found, waiting = model.subgraphs[0], list[Any](), [int(shuffle.inputs[0])]
    shape = tensor_shape(graph.tensors[waiting[0]])
    while waiting:
        index = waiting.pop()
        maker = next((item for item in graph.operators if index in item.outputs), None)
        readers = sum(list(item.inputs).count(index) for item in graph.operators)
        if maker is None or readers != 1 or index in graph.outputs or tensor_shape(graph.tensors[index]) != shape:
            return None
        found.append(maker)
        if operator_name(model, maker) == "DEQUANTIZE":
            if dtype_name(graph.tensors[maker.inputs[0]]) != "int8":
                return None
            continue
        if operator_name(model, maker) not in _PER_VALUE:
            return None
        for given in map(int, maker.inputs):
            if not is_constant(model, graph.tensors[given]):
                waiting.append(given)
            elif tensor_shape(graph.tensors[given]) not in ((), (1,)):
                return None
    return found


def _move(model: Any, shuffle: Any, behind: list[Any]) -> None:
    """Puts a shuffle in front of the operators that make floats."""
    graph = model.subgraphs[0]
    shape = tensor_shape(graph.tensors[shuffle.outputs[0]])
    for operator in behind:
        graph.tensors[operator.outputs[0]].shape = list(shape)
        if operator_name(model, operator) == "DEQUANTIZE":
            given = int(operator.inputs[0])
            tensor = graph.tensors[given]
            moved = add_tensor(graph, f"{tensor_name(tensor)}_shuffled", shape, "int8")
            graph.tensors[moved].quantization = tensor.quantization
            added = new_operator(model, _KIND, "DepthToSpaceOptions", [given], moved, _VERSION)
            added.builtinOptions.blockSize = shuffle.builtinOptions.blockSize
            operator.inputs = [moved]
            graph.operators.insert(place_of(graph, operator), added)
    # The first is the last to be computed.
    behind[0].outputs = [int(shuffle.outputs[0])]
    graph.operators = [item for item in graph.operators if item is not shuffle]
