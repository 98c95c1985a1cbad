"""Names for what a SavedModel returns under numbers alone (`output_0`): those of the layers that make it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

_NUMBERED_OUTPUT = re.compile(r"output_\d+")
_NUMBERED_SCOPE = re.compile(r"(.+)_\d+")
_MOVES = frozenset({"Identity", "StopGradient"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


def names_by_layer(makers: Mapping[str, str]) -> dict[str, str]:
    """Returns a name for each output: that of its layer where it only has a number, and its own otherwise.

    Args:
        makers: The names of the operators that make outputs, by the names of these.
    """
    found = {key: layer_of(maker) if _NUMBERED_OUTPUT.fullmatch(key) else "" for key, maker in makers.items()}
    uses = Counter([*found.values(), *makers])
    return {key: layer if layer and uses[layer] == 1 else key for key, layer in found.items()}


def layer_of(operator: str) -> str:
    """Returns the name of the layer that an operator `MODEL/LAYER/OPERATOR` belongs to; empty if it has none."""
    scopes = [scope for scope in operator.split("/")[:-1] if "PartitionedCall" not in scope]
    # Keras 3 has the scopes of models and layers numbered, and only these: `decoder_1/log_var_1/batchnorm/add`.
    numbered = [match[1] for scope in scopes if (match := _NUMBERED_SCOPE.fullmatch(scope))]
    if len(numbered) > 1 and _NUMBERED_SCOPE.fullmatch(scopes[0]):
        return numbered[-1]
    return scopes[-1] if scopes else ""


def makers_of(function: Any) -> dict[str, str]:
    """Returns the operators that make what a signature returns, by name; empty for what it only hands on.

    Args:
        function: A signature of a loaded SavedModel.
    """
    definition = function.graph.as_graph_def()
    library = {item.signature.name: item for item in definition.library.function}
    nodes = {node.name: node for node in definition.node}
    # A signature returns a dict, whose values TensorFlow lists in the order of its sorted keys.
    keys = sorted(function.structured_outputs)
    return {key: _maker(nodes, library, tensor.name) for key, tensor in zip(keys, function.outputs, strict=True)}


def _maker(nodes: Mapping[str, Any], library: Mapping[str, Any], tensor: str) -> str:
    name, *place = tensor.split(":")
    node = nodes.get(name)
    while node is not None and node.op in _MOVES:
        name, *place = node.input[0].split(":")
        node = nodes.get(name)
    if node is None or node.op not in _CALLS:
        return name if node is not None else ""
    called = library[node.attr["f"].func.name]
    returned = called.signature.output_arg[int(place[-1]) if place else 0].name
    inner = _maker({item.name: item for item in called.node_def}, library, called.ret[returned])
    return f"{name}/{inner}" if inner else ""
