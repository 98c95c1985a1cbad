"""Which operators of a TFLite file LiteRT's delegate has taken.

LiteRT's interpreter knows its graph, but tells it through methods with a leading underscore only; this is the one place
that uses them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_DELEGATE = "DELEGATE"


@dataclass(frozen=True, kw_only=True)
class GraphTensor:
    """One tensor of a loaded graph."""

    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class GraphOperator:
    """One operator of a loaded graph: its inputs and outputs are numbers of tensors."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedGraph:
    """The main graph as an interpreter has loaded it.

    Attributes:
        operators: The file's, in its order.
        delegated: Positions of those that a delegate runs.
        tensors: Those that operators read and write, by number.
    """

    operators: tuple[GraphOperator, ...]
    delegated: frozenset[int]
    tensors: Mapping[int, GraphTensor]


def loaded_graph(interpreter: Any) -> LoadedGraph:
    """Returns the graph of an interpreter whose tensors are allocated."""
    # The interpreter lists the file's operators and behind them one node for each delegated part.
    nodes = [
        GraphOperator(kind=str(node["op_name"]), inputs=_known(node["inputs"]), outputs=_known(node["outputs"]))
        for node in interpreter._get_ops_details()
    ]
    operators = tuple(node for node in nodes if node.kind != _DELEGATE)
    used = {index for operator in operators for index in (*operator.inputs, *operator.outputs)}
    return LoadedGraph(
        operators=operators,
        delegated=delegated(nodes),
        tensors={index: _tensor(interpreter, index) for index in used},
    )


def delegated(nodes: Sequence[GraphOperator]) -> frozenset[int]:
    """Returns the positions of operators that a delegate runs: all between its inputs and its outputs.

    Args:
        nodes: The file's operators and behind them the delegates.
    """
    makers = {index: place for place, node in enumerate(nodes) if node.kind != _DELEGATE for index in node.outputs}
    taken: set[int] = set()
    for delegate in (node for node in nodes if node.kind == _DELEGATE):
        todo = [index for index in delegate.outputs if index in makers]
        while todo:
            place = makers[todo.pop()]
            if place not in taken:
                taken.add(place)
                todo += [i for i in nodes[place].inputs if i in makers and i not in delegate.inputs]
    return frozenset(taken)


def _known(indices: Sequence[int]) -> tuple[int, ...]:
    # An input that is left out, such as a missing bias, has the number -1.
    return tuple(int(index) for index in indices if index >= 0)


def _tensor(interpreter: Any, index: int) -> GraphTensor:
    detail = interpreter._get_tensor_details(index, 0)
    shape = tuple(int(size) for size in detail["shape"])
    return GraphTensor(shape=shape, size_bytes=math.prod(shape) * np.dtype(detail["dtype"]).itemsize)
