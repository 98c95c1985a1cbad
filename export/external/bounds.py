"""The range of a traced output as far as its operators prove one: a squashing or clipping one, and what follows it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

Interval = tuple[float, float]

UNBOUNDED: Interval = (-math.inf, math.inf)
_SQUASHING: dict[str, Interval] = {
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "Erf": (-1.0, 1.0),
    "Sin": (-1.0, 1.0),
    "Cos": (-1.0, 1.0),
}
# Each of their results is one of the values of their first input, or a mean of some.
SELECTING = frozenset(
    {
        *("Identity", "StopGradient", "PreventGradient", "Cast", "Reshape", "Squeeze", "ExpandDims", "Transpose"),
        *("StridedSlice", "Slice", "GatherV2", "ReverseV2", "Tile", "BroadcastTo", "MirrorPad"),
        *("DepthToSpace", "SpaceToDepth", "BatchToSpaceND", "MaxPool", "AvgPool"),
        *("ResizeNearestNeighbor", "ResizeBilinear", "ResizeArea"),
    }
)
_MOST_OPERATORS = 40


class Operators(Protocol):
    """A traced graph."""

    @property
    def operators(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """For each node, its operator and the names of the nodes that it reads."""

    @property
    def numbers(self) -> dict[str, Interval]:
        """The smallest and largest value of small constants."""


def bounds(graph: Operators, node: str) -> Interval | None:
    """Returns the range of a node's values; None where no operator bounds it on both sides."""
    low, high = _interval(graph, node, _MOST_OPERATORS)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def constant(graph: Operators, node: str) -> Interval | None:
    """Returns the smallest and largest value of what is computed from small constants alone; None for anything else."""
    waiting = [node]
    for _ in range(_MOST_OPERATORS):
        if not waiting:
            return bounds(graph, node)
        current = waiting.pop()
        sources = graph.operators[current][1]
        if current not in graph.numbers and not sources:
            return None
        waiting += () if current in graph.numbers else sources
    return None


def _interval(graph: Operators, node: str, depth: int) -> Interval:
    kind, sources = graph.operators[node]
    if node in graph.numbers:
        return graph.numbers[node]
    if kind in _SQUASHING:
        return _SQUASHING[kind]
    if depth == 0 or not sources:
        return UNBOUNDED
    if kind in SELECTING:
        return _interval(graph, sources[0], depth - 1)
    if kind in ("ConcatV2", "Pack"):
        return _union([_interval(graph, name, depth - 1) for name in sources[: -1 if kind == "ConcatV2" else None]])
    if kind == "Pad":
        return _union([_interval(graph, sources[0], depth - 1), (0.0, 0.0)])
    if kind == "PadV2":
        return _union([_interval(graph, name, depth - 1) for name in (sources[0], sources[2])])
    if kind in _ARITHMETIC:
        return _ARITHMETIC[kind](*(_interval(graph, name, depth - 1) for name in sources))
    return UNBOUNDED


def _union(intervals: list[Interval]) -> Interval:
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def _clip(value: Interval, low: Interval, high: Interval) -> Interval:
    return _minimum(_maximum(value, low), high)


def _minimum(left: Interval, right: Interval) -> Interval:
    return min(left[0], right[0]), min(left[1], right[1])


def _maximum(left: Interval, right: Interval) -> Interval:
    return max(left[0], right[0]), max(left[1], right[1])


def add(left: Interval, right: Interval) -> Interval:
    """Returns the range of sums."""
    return left[0] + right[0], left[1] + right[1]


def negative(value: Interval) -> Interval:
    """Returns the range of values times -1."""
    return -value[1], -value[0]


def subtract(left: Interval, right: Interval) -> Interval:
    """Returns the range of differences."""
    return add(left, negative(right))


def multiply(left: Interval, right: Interval) -> Interval:
    """Returns the range of products."""
    products = [0.0 if 0.0 in (a, b) else a * b for a in left for b in right]
    return min(products), max(products)


def divide(left: Interval, right: Interval) -> Interval:
    """Returns the range of quotients; unbounded where the divisor may be 0."""
    if right[0] <= 0.0 <= right[1]:
        return UNBOUNDED
    return multiply(left, (1 / right[1], 1 / right[0]))


def _rounded(value: float, how: Callable[[float], int]) -> float:
    return float(how(value)) if math.isfinite(value) else value


_ARITHMETIC: dict[str, Callable[..., Interval]] = {
    "AddV2": add,
    "Add": add,
    "BiasAdd": add,
    "Sub": subtract,
    "Mul": multiply,
    "RealDiv": divide,
    "Neg": negative,
    "Round": lambda value: (_rounded(value[0], math.floor), _rounded(value[1], math.ceil)),
    "Rint": lambda value: (_rounded(value[0], math.floor), _rounded(value[1], math.ceil)),
    "Sqrt": lambda value: (math.sqrt(max(0.0, value[0])), math.sqrt(max(0.0, value[1]))),
    "Minimum": _minimum,
    "Maximum": _maximum,
    "ClipByValue": _clip,
    "Relu": lambda value: _maximum(value, (0.0, 0.0)),
    "Relu6": lambda value: _clip(value, (0.0, 0.0), (6.0, 6.0)),
}
