"""The place of the channels: frameworks that write ONNX have them second, artifacts have them last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Sizes = Mapping[str, "list[int | None]"]
_KERNELS = frozenset(
    {
        *("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool"),
        *("GlobalMaxPool", "InstanceNormalization", "MaxPool", "SpaceToDepth", "Resize", "GroupNormalization"),
    }
)
_STOPS = frozenset(
    {"Reshape", "Flatten", "MatMul", "Gemm", "Einsum", "Squeeze", "Unsqueeze", "Expand", "Gather", "Concat"}
)
_IMAGE = 4
_MOST_CHANNELS = 4
_KERAS = "tf2onnx"


def channels_are_second(model: Any, name: str, shapes: Sizes) -> bool:
    """Whether an input or output `[N, ...]` of a graph has its channels second.

    Decided by the nearest operator that knows: a convolution has them second, a transpose says that the graph's author
    turned them. Where none is near, an image has few of them.
    """
    rank = len(shapes.get(name, []))
    if rank < 3:
        return False
    is_input = any(given.name == name for given in model.graph.input)
    found = _forward(model.graph, name, rank, shapes) if is_input else _backward(model.graph, name, rank, shapes)
    if found is not None:
        return found
    if rank != _IMAGE or model.producer_name.startswith(_KERAS):
        return False
    second, last = shapes[name][1] or 0, shapes[name][-1] or 0
    return not (last <= _MOST_CHANNELS < second)


def _forward(graph: Any, name: str, rank: int, shapes: Sizes) -> bool | None:
    waiting, seen = [name], {name}
    while waiting:
        current = waiting.pop(0)
        for node in graph.node:
            if current not in node.input:
                continue
            found = _known(node, rank, into_kernel=True)
            if found is not None:
                return found
            if node.op_type in _STOPS or node.op_type == "Transpose":
                continue
            fresh = [item for item in node.output if item not in seen and len(shapes.get(item, [])) == rank]
            seen.update(fresh)
            waiting += fresh
    return None


def _backward(graph: Any, name: str, rank: int, shapes: Sizes) -> bool | None:
    makers = {output: node for node in graph.node for output in node.output}
    waiting, seen = [name], {name}
    while waiting:
        node = makers.get(waiting.pop(0))
        if node is None:
            continue
        found = _known(node, rank, into_kernel=False)
        if found is not None:
            return found
        if node.op_type in _STOPS or node.op_type == "Transpose":
            continue
        fresh = [item for item in node.input if item not in seen and len(shapes.get(item, [])) == rank]
        seen.update(fresh)
        waiting += fresh
    return None


def _known(node: Any, rank: int, *, into_kernel: bool) -> bool | None:
    if node.op_type in _KERNELS:
        return True
    if node.op_type != "Transpose":
        return None
    order = next((list(item.ints) for item in node.attribute if item.name == "perm"), [])
    turn = to_second(rank) if into_kernel else to_last(rank)
    return False if order == turn else None


def to_second(rank: int) -> list[int]:
    """Returns the order of axes that brings the last one to the second place."""
    return [0, rank - 1, *range(1, rank - 1)]


def to_last(rank: int) -> list[int]:
    """Returns the order of axes that brings the second one to the last place."""
    return [0, *range(2, rank), 1]


def turn_input(graph: Any, position: int) -> None:
    """Has an input given with its channels last, in place."""
    from onnx import helper

    given = graph.input[position]
    inner = f"{given.name}_channels_second"
    for node in graph.node:
        node.input[:] = [inner if name == given.name else name for name in node.input]
    dims = given.type.tensor_type.shape.dim
    second = dims[1].dim_value
    rest = [dim.dim_value for dim in dims[2:]]
    for dim, size in zip(list(dims)[1:], [*rest, second], strict=True):
        dim.dim_value = size
    turn = helper.make_node("Transpose", [given.name], [inner], f"{given.name}/turned", perm=to_second(len(dims)))
    nodes = [turn, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def turn_output(graph: Any, position: int, rank: int) -> None:
    """Has an output returned with its channels last, in place."""
    from onnx import helper

    output = graph.output[position].name
    inner = f"{output}_channels_second"
    for node in graph.node:
        node.input[:] = [inner if name == output else name for name in node.input]
        node.output[:] = [inner if name == output else name for name in node.output]
    graph.node.append(helper.make_node("Transpose", [inner], [output], f"{output}/turned", perm=to_last(rank)))
