"""Folding of all that does not depend on the values of the inputs: shapes, and weights computed from weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.from_onnx.reading import STANDARD_DOMAINS
from pocketvae.formats.onnx.model import array, drop_dead, initializers

Array = npt.NDArray[Any]
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
_MOST_ROUNDS = 8
_MOST_VALUES = 1 << 26
_PASSING = ("Identity", "Dropout")
# The first opset whose Softmax normalizes one axis, and not all behind it.
_SOFTMAX_OF_ONE_AXIS = 13


def is_random(node: Any) -> bool:
    """Whether an operator draws random numbers."""
    return node.op_type in _RANDOM


def fix_batch(path: Path, model: Any, known: Sequence[int | None] = (), hint: str = "") -> bool:
    """Gives inputs of any batch size the size 1, and drops those that are weights.

    Args:
        path: Of the file, for messages.
        model: Is changed.
        known: Sizes without the batch, for inputs of as many dimensions that leave theirs open.
        hint: What else helps where a size stays open.

    Returns:
        Whether the batch size was open.

    Raises:
        ExportError: another size is open, or those that are known do not fit it.
    """
    graph = model.graph
    stored = initializers(graph)
    real = [given for given in graph.input if given.name not in stored]
    del graph.input[:]
    graph.input.extend(real)
    was_open = True
    for given in graph.input:
        dims = given.type.tensor_type.shape.dim
        _fill(dims, known)
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
        if not sizes or None in sizes[1:]:
            listed = ", ".join("?" if size is None else str(size) for size in sizes)
            raise ExportError(
                f"{path} must leave open no size but the batch, got {given.name} [{listed}]: {hint}export it with an "
                f'example input of the final size and dynamic_axes={{"{given.name}": {{0: "batch"}}}}'
            )
        was_open = was_open and sizes[0] is None
        if sizes[0] is None:
            dims[0].Clear()
            dims[0].dim_value = 1
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    del graph.value_info[:]
    return was_open


def _fill(dims: Any, known: Sequence[int | None]) -> None:
    """Gives the open sizes of an input those that are known, if the others are the same."""
    own = list(dims)[1:]
    fits = len(own) == len(known) and all(
        not dim.HasField("dim_value") or dim.dim_value == size for dim, size in zip(own, known, strict=True)
    )
    for dim, size in zip(own, known, strict=True) if fits else ():
        if size is not None:
            dim.Clear()
            dim.dim_value = size


def fold(model: Any) -> None:
    """Replaces what is known by stored tensors, in place."""
    _store_constants(model.graph)
    for _ in range(_MOST_ROUNDS):
        if not _fold_once(model):
            break
    drop_dead(model.graph)
    del model.graph.value_info[:]


def opset_of(model: Any) -> int:
    """Returns the version of ONNX's operators that a model uses."""
    return max((int(item.version) for item in model.opset_import if item.domain in STANDARD_DOMAINS), default=1)


def shapes_of(model: Any) -> dict[str, list[int | None]]:
    """Returns the sizes of tensors as far as they can be inferred."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        value.name: [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }


def store(graph: Any, name: str, values: Array) -> str:
    """Adds a stored tensor and returns its name."""
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
    return name


def _store_constants(graph: Any) -> None:
    kept = []
    for node in graph.node:
        values = _constant_of(node) if node.op_type == "Constant" else None
        if values is None:
            kept.append(node)
        else:
            store(graph, node.output[0], values.reshape(values.shape))
    del graph.node[:]
    graph.node.extend(kept)


def _constant_of(node: Any) -> Array | None:
    from onnx import helper

    attribute = node.attribute[0]
    if attribute.name == "value":
        return array(attribute.t)
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    kind = kinds.get(attribute.name)
    return None if kind is None else np.array(helper.get_attribute_value(attribute), kind)


def _fold_once(model: Any) -> bool:
    graph = model.graph
    shapes = shapes_of(model)
    stored = initializers(graph)
    opset = opset_of(model)
    outputs = {output.name for output in graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        values = _values_of(node, shapes, stored, opset)
        if values is not None:
            for name, one in values.items():
                store(graph, name, one)
                stored[name] = graph.initializer[-1]
        elif _passes(node, stored) and node.output[0] not in outputs:
            renamed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    is_changed = len(kept) < len(graph.node)
    del graph.node[:]
    graph.node.extend(kept)
    return is_changed


def _passes(node: Any, stored: Mapping[str, Any]) -> bool:
    """Whether a node returns its input; dropout does except in training."""
    trains = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
    return node.op_type in _PASSING and (not trains or (trains in stored and not array(stored[trains]).any()))


def training_operators(graph: Any) -> tuple[str, ...]:
    """Returns the operators of a folded graph that run in training mode."""
    normal = (node for node in graph.node if node.op_type == "BatchNormalization")
    trains = {
        node.op_type for node in normal if any(item.name == "training_mode" and item.i for item in node.attribute)
    }
    return tuple(sorted(trains | {node.op_type for node in graph.node if node.op_type == "Dropout"}))


def _values_of(
    node: Any, shapes: Mapping[str, list[int | None]], stored: Mapping[str, Any], opset: int
) -> dict[str, Array] | None:
    """Returns the values of a node's outputs; None where they depend on the inputs."""
    if node.op_type in ("Shape", "Size"):
        sizes = shapes.get(node.input[0])
        if node.input[0] in stored:
            sizes = list(stored[node.input[0]].dims)
        if sizes is None or None in sizes:
            return None
        limits = {attribute.name: attribute.i for attribute in node.attribute}
        whole = np.array(sizes, np.int64)[limits.get("start", 0) : limits.get("end")]
        return {
            node.output[0]: whole
            if node.op_type == "Shape"
            else np.array(math.prod(size or 0 for size in sizes), np.int64)
        }
    if is_random(node) or not all(name in stored for name in node.input if name) or _is_misread(node, opset):
        return None
    return _evaluated(node, {name: array(stored[name]) for name in node.input if name}, opset)


def _is_misread(node: Any, opset: int) -> bool:
    """Whether onnx's reference computes something else than the specification says; such a node stays in the graph.

    See `findings/onnx_reference_grouped_bias.sh` and `findings/softmax_before_opset_13.sh`.
    """
    values = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "ConvTranspose":
        return len(node.input) > 2 and "group" in values and values["group"].i > 1
    if node.op_type == "LpNormalization":
        return "p" in values and values["p"].i == 1
    if node.op_type in ("Softmax", "LogSoftmax", "Hardmax"):
        return opset < _SOFTMAX_OF_ONE_AXIS
    return node.op_type in ("LSTM", "GRU", "RNN")


def _evaluated(node: Any, inputs: dict[str, Array], opset: int) -> dict[str, Array] | None:
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    if sum(values.size for values in inputs.values()) > _MOST_VALUES:
        return None
    graph = helper.make_graph(
        [node],
        "folded",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for name, v in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    try:
        names = [name for name in node.output if name]
        single = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        with np.errstate(all="ignore"):  # What is not finite is found where the whole network is compared.
            made = ReferenceEvaluator(single).run(names, inputs)
    except Exception:  # What the reference cannot compute stays in the graph.
        return None
    return {name: np.asarray(values) for name, values in zip(names, made, strict=True)}
