"""A graph of ONNX as calls of TensorFlow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.formats.onnx.model import array
from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.onnx import elementwise, networks, shapes, spatial
from pocketvae.keras.onnx.nodes import Node, Operator
from pocketvae.keras.onnx.tensors import Value, value

OPERATORS: Mapping[str, Operator] = {
    **elementwise.OPERATORS,
    **networks.OPERATORS,
    **shapes.OPERATORS,
    **spatial.OPERATORS,
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\\/>-]+")
_SCOPE = "onnx"


def unknown_operators(graph: Any) -> tuple[str, ...]:
    """Returns the operators of a graph that `run` does not know, sorted."""
    return tuple(sorted({node.op_type for node in graph.node} - OPERATORS.keys()))


def run(graph: Any, weights: Mapping[str, npt.NDArray[Any]], inputs: Sequence[Any]) -> list[Any]:
    """Runs a graph operator by operator in TensorFlow, which also traces it.

    Args:
        graph: A `GraphProto` without functions and control flow, in operators of opset 17.
        weights: Stored tensors by name.
        inputs: Tensors `[N, ...]`, one for each input.

    Returns:
        A tensor for each output.

    Raises:
        ExportError: an operator is unknown, or has a form that TensorFlow lacks.
    """
    tf = import_tensorflow()
    values = {name: value(stored) for name, stored in weights.items()}
    for given, tensor in zip(graph.input, inputs, strict=True):
        values[given.name] = value(tf.convert_to_tensor(tensor))
    with tf.name_scope(_SCOPE):
        for node in with_group_norms(graph):
            _run_node(node, values)
        return [tf.identity(values[output.name].plain()) for output in graph.output]


def _run_node(node: Any, values: dict[str, Value]) -> None:
    from onnx import helper

    operator = OPERATORS.get(node.op_type)
    if operator is None:
        raise ExportError(f"pocketvae does not support the ONNX operator {node.op_type} ({node.name})")
    given = Node(
        kind=node.op_type,
        name=node.name or node.output[0],
        inputs=[values[name] if name else None for name in node.input],
        attributes={item.name: helper.get_attribute_value(item) for item in node.attribute},
        output_count=len(node.output),
    )
    with import_tensorflow().name_scope(_scope_of(node)):
        made = operator(given)
    for name, tensor in zip(node.output, made if isinstance(made, list) else [made], strict=False):
        values[name] = tensor


def _scope_of(node: Any) -> str:
    return _NOT_IN_NAMES.sub("_", node.name).strip("/_.>-\\") or str(node.op_type)


def with_group_norms(graph: Any) -> list[Any]:
    """Returns the nodes, with each reshape, instance normalization and reshape back as one group normalization.

    That is how group normalization is written before opset 18. With the channels last the reshapes would be transposes.
    What comes in need not have the shape that goes out: exporters join the first reshape with another before it.
    """
    readers = Counter(name for node in graph.node for name in node.input)
    makers = {name: node for node in graph.node for name in node.output}
    consumers = {name: node for node in graph.node for name in node.input}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {output.name for output in graph.output}
    replaced: dict[int, list[Any]] = {}
    dropped: set[int] = set()
    for node in graph.node:
        if node.op_type != "InstanceNormalization":
            continue
        before, after = makers.get(node.input[0]), consumers.get(node.output[0])
        if before is None or after is None or before.op_type != "Reshape" or after.op_type != "Reshape":
            continue
        single = all(readers[item.output[0]] == 1 and item.output[0] not in outputs for item in (before, node))
        shapes_known = before.input[1] in stored and after.input[1] in stored and node.input[1] in stored
        if single and shapes_known and _is_grouping(stored, before, node, after):
            replaced[id(after)] = _group_norm_of(stored, before, node, after)
            dropped |= {id(before), id(node)}
    kept = (node for node in graph.node if id(node) not in dropped)
    return [item for node in kept for item in replaced.get(id(node), [node])]


def _is_grouping(stored: Mapping[str, Any], before: Any, node: Any, after: Any) -> bool:
    to, back = (array(stored[item.input[1]]) for item in (before, after))
    groups = len(array(stored[node.input[1]]))
    scale, bias = (array(stored[name]) for name in node.input[1:3])
    is_uniform = len(np.unique(scale)) == 1 and len(np.unique(bias)) == 1
    # A size of 0 behind the channels would be one of the groups' own.
    keeps_sizes = back.size >= 3 and int(back[1]) > 0 and not (back[2:] == 0).any()
    return to.size == 3 and int(to[1]) == groups and keeps_sizes and is_uniform


def _group_norm_of(stored: Mapping[str, Any], before: Any, node: Any, after: Any) -> list[Any]:
    from onnx import helper

    epsilon = next((item.f for item in node.attribute if item.name == "epsilon"), 1e-5)
    scale, bias = (array(stored[name]) for name in node.input[1:3])
    if scale[0] != 1 or bias[0] != 0:
        raise ExportError(f"pocketvae does not support InstanceNormalization of groups with weights ({node.name})")
    shaped = f"{after.output[0]}_ungrouped"
    return [
        helper.make_node("Reshape", [before.input[0], after.input[1]], [shaped], before.name),
        helper.make_node(
            "GroupNormalization", [shaped], [after.output[0]], node.name, groups=len(scale), epsilon=epsilon
        ),
    ]
