"""Lookups in tables, and the largest of values, without selections that change nothing in an artifact.

Keras 3 counts negative indices from a table's end: a comparison, a sum and a selection of integers, which GPUs, NPUs
and microcontrollers lack and the 16-bit quantizer of TFLite cannot calibrate. An artifact is never given any. Before it
looks for the largest or smallest value, Keras 3 replaces -0 by the negative number next to it, with bits that neither
format has. Without that, -0 is equal to 0, so that the first of both is taken.
"""

from __future__ import annotations

from typing import Any

from pocketvae.keras.io import import_tensorflow

_SELECTS = ("Select", "SelectV2")
_PASSING = ("Cast", "ExpandDims", "Identity", "Reshape", "Squeeze")


def is_direct(definition: Any) -> bool:
    """Whether a frozen graph has none of these selections."""
    return not _wrapped(definition)


def with_direct_lookups(definition: Any) -> Any:
    """Returns a frozen graph without these selections: the same for all indices from 0 on and all values but -0.

    Args:
        definition: A `GraphDef`, which is changed.
    """
    wrapped = _wrapped(definition)
    for node in definition.node:
        node.input[:] = [wrapped.get(_name(source), source) for source in node.input]
    kept = [node for node in definition.node if node.name not in wrapped]
    del definition.node[:]
    definition.node.extend(kept)
    return definition


def _wrapped(definition: Any) -> dict[str, str]:
    """Returns the selections by name, each with what takes its place."""
    nodes = {node.name: node for node in definition.node}
    found: dict[str, str] = {}
    for node in definition.node:
        if node.op not in _SELECTS:
            continue
        condition, total, index = (nodes.get(_name(source)) for source in node.input[:3])
        if condition is not None and _is_negative_zero(condition, node.input[2], nodes):
            found[node.name] = node.input[2]
            continue
        if condition is None or total is None or index is None or (condition.op, total.op) != ("Less", "AddV2"):
            continue
        same = node.input[2]
        below_zero = condition.input[0] == same and _is_zero(nodes.get(_name(condition.input[1])))
        if below_zero and same in total.input and _is_given(index, nodes):
            found[node.name] = same
    return found


def _is_negative_zero(condition: Any, value: str, nodes: dict[str, Any]) -> bool:
    """Whether a condition is that a value is 0 and has the bit of a sign."""
    if condition.op != "LogicalAnd":
        return False
    tests = {test.op: test for source in condition.input if (test := nodes.get(_name(source))) is not None}
    if tests.keys() != {"Equal", "Less"} or tests["Equal"].input[0] != value:
        return False
    bits = nodes.get(_name(tests["Less"].input[0]))
    return bits is not None and bits.op == "BitwiseAnd"


def _is_given(node: Any, nodes: dict[str, Any]) -> bool:
    """Whether a tensor is one of the graph's inputs of integers, in another shape or type at most."""
    while node is not None and node.op in _PASSING:
        node = nodes.get(_name(node.input[0]))
    if node is None or node.op != "Placeholder":
        return False
    return bool(import_tensorflow().dtypes.as_dtype(node.attr["dtype"].type).is_integer)


def _is_zero(node: Any) -> bool:
    if node is None or node.op != "Const":
        return False
    value = import_tensorflow().make_ndarray(node.attr["value"].tensor)
    return bool(value.dtype.kind in "iu" and (value == 0).all())


def _name(source: str) -> str:
    return source.removeprefix("^").split(":")[0]
