"""The place of the channels: frameworks that write ONNX have them second, artifacts have them last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
_SEQUENCE = 3
_MOST_CHANNELS = 4
_KERAS = "tf2onnx"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What an operator shows of the channels.

    Attributes:
        is_second: Whether they are the second axis.
        is_strong: Whether that is sure; a transpose of three axes may as well turn a sequence for an operator that has
            nothing to do with channels.
    """

    is_second: bool
    is_strong: bool


def evidence(model: Any, name: str, shapes: Sizes) -> Evidence | None:
    """Returns where an input or output `[N, ...]` of a graph has its channels by the nearest operator that knows.

    A convolution has them second, a transpose says that the graph's author turned them. None where none is near.
    """
    rank = len(shapes.get(name, []))
    if rank < _SEQUENCE:
        return None
    is_input = any(given.name == name for given in model.graph.input)
    return _forward(model.graph, name, rank, shapes) if is_input else _backward(model.graph, name, rank, shapes)


def usual_order(model: Any, sizes: Sequence[int]) -> bool | None:
    """Returns whether channels are second as far as sizes without the batch show it: an image has few of them.

    Returns:
        None where both orders are usual, as for sequences.
    """
    if model.producer_name.startswith(_KERAS):
        return False
    if len(sizes) + 1 <= _SEQUENCE:
        return None
    *others, last = sizes
    return not last <= _MOST_CHANNELS < min(others)


def _forward(graph: Any, name: str, rank: int, shapes: Sizes) -> Evidence | None:
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


def _backward(graph: Any, name: str, rank: int, shapes: Sizes) -> Evidence | None:
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


def _known(node: Any, rank: int, *, into_kernel: bool) -> Evidence | None:
    if node.op_type in _KERNELS:
        return Evidence(is_second=True, is_strong=True)
    if node.op_type != "Transpose":
        return None
    order = next((list(item.ints) for item in node.attribute if item.name == "perm"), [])
    turn = to_second(rank) if into_kernel else to_last(rank)
    return Evidence(is_second=False, is_strong=rank > _SEQUENCE) if order == turn else None


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
