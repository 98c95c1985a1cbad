"""Lookups in tables by labels and codes without the wrapping of negative numbers, which an artifact is never given.

Keras 3 counts negative indices from a table's end: a comparison, a sum and a selection of integers, which GPUs, NPUs
and microcontrollers lack and the 16-bit quantizer of TFLite cannot calibrate.
"""

from __future__ import annotations

from typing import Any

from pocketvae.keras.io import import_tensorflow

_SELECTS = ("Select", "SelectV2")
_PASSING = ("Cast", "ExpandDims", "Identity", "Reshape", "Squeeze")


def is_direct(definition: Any) -> bool:
    """Whether no lookup of a frozen graph wraps the labels or codes that it is given."""
    return not _wrapped(definition)


def with_direct_lookups(definition: Any) -> Any:
    """Returns a frozen graph in which labels and codes are indices as they are: the same for all from 0 on.

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
    """Returns the selections between an index and a sum by name, with the index."""
    nodes = {node.name: node for node in definition.node}
    found: dict[str, str] = {}
    for node in definition.node:
        if node.op not in _SELECTS:
            continue
        condition, total, index = (nodes.get(_name(source)) for source in node.input[:3])
        if condition is None or total is None or index is None or (condition.op, total.op) != ("Less", "AddV2"):
            continue
        same = node.input[2]
        below_zero = condition.input[0] == same and _is_zero(nodes.get(_name(condition.input[1])))
        if below_zero and same in total.input and _is_given(index, nodes):
            found[node.name] = same
    return found


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
