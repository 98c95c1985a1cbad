"""Max and Min of constants as the one operator Clip, which quantizers, CoreML and NNAPI know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.formats.onnx.model import drop_unread_initializers

_OTHER = {"Min": "Max", "Max": "Min"}


def fuse_clips(model: Any) -> int:
    """Replaces every Max(Min(x, high), low) and Min(Max(x, low), high) of scalar constants, low <= high, by a Clip.

    tf2onnx writes `clip_by_value` as the former. Values stay the same, bit for bit.

    Args:
        model: An `onnx.ModelProto` of operator set 12 or newer; it is changed.

    Returns:
        How many there were.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    # Most models have none, and inferring shapes copies all weights.
    if not _OTHER.keys() <= {node.op_type for node in graph.node}:
        return 0
    ranks = _ranks(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    makers = {name: node for node in graph.node for name in node.output}
    fused: dict[str, Any] = {}
    for outer in graph.node:
        found = _bounded(outer, constants, ranks)
        inner = makers.get(found[0]) if found else None
        if found is None or inner is None or inner.op_type != _OTHER[outer.op_type] or uses[found[0]] != 1:
            continue
        # It became a Clip itself.
        if found[0] in fused:
            continue
        within = _bounded(inner, constants, ranks)
        if within is None:
            continue
        low, high = (found[1], within[1]) if outer.op_type == "Max" else (within[1], found[1])
        if not low <= high:
            continue
        names = [f"{outer.output[0]}/low", f"{outer.output[0]}/high"]
        graph.initializer.extend(numpy_helper.from_array(v, name) for v, name in zip((low, high), names, strict=True))
        fused[outer.output[0]] = helper.make_node("Clip", [within[0], *names], [outer.output[0]], outer.name)
        fused[inner.output[0]] = None
    nodes = [fused.get(node.output[0], node) for node in graph.node]
    del graph.node[:]
    graph.node.extend(node for node in nodes if node is not None)
    _drop_unused(graph)
    return sum(node is not None for node in fused.values())


def _ranks(model: Any) -> dict[str, int]:
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {v.name: len(v.type.tensor_type.shape.dim) for v in values if v.type.tensor_type.HasField("shape")}


def _bounded(
    node: Any, constants: Mapping[str, npt.NDArray[Any]], ranks: Mapping[str, int]
) -> tuple[str, npt.NDArray[Any]] | None:
    """Returns what a Max or Min bounds, and the bound as a scalar; None where it is not a bound."""
    if node.op_type not in _OTHER or len(node.input) != 2:
        return None
    bounds = [name for name in node.input if name in constants and constants[name].size == 1]
    values = [name for name in node.input if name not in constants]
    if len(bounds) != 1 or len(values) != 1 or constants[bounds[0]].dtype != np.float32:
        return None
    # A bound of more dimensions than the value would add some to it.
    if constants[bounds[0]].ndim > ranks.get(values[0], 0):
        return None
    return values[0], constants[bounds[0]].reshape(())


def _drop_unused(graph: Any) -> None:
    drop_unread_initializers(graph)
    shapes = {name for node in graph.node for name in node.output}
    known = [value for value in graph.value_info if value.name in shapes]
    del graph.value_info[:]
    graph.value_info.extend(known)
