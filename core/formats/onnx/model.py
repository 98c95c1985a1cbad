"""An ONNX file as a `ModelProto` of the onnx package: reading with checks, and what is looked up in a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import missing_package
from pocketvae.formats.damage import Damage, refusing_damage

_FILE = "the ONNX file"


def load_model(content: bytes) -> Any:
    """Reads a file.

    Raises:
        ManifestError: it is damaged, or has no graph.
        TargetError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as e:
        raise missing_package("onnx", "export") from e
    with refusing_damage(_FILE, "graph"):
        model = onnx.load_from_string(content)
        if not model.HasField("graph"):
            raise Damage("it has no graph")
        if not all(node.op_type.isprintable() and node.domain.isprintable() for node in model.graph.node):
            raise Damage("the name of an operator is not text")
    return model


def initializers(graph: Any) -> dict[str, Any]:
    """Returns a graph's stored tensors by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def constants(graph: Any) -> dict[str, Any]:
    """Returns stored tensors and those of nodes `Constant`, by name."""
    nodes = (node for node in graph.node if node.op_type == "Constant")
    return initializers(graph) | {
        node.output[0]: attribute.t for node in nodes for attribute in node.attribute if attribute.name == "value"
    }


def array(tensor: Any) -> npt.NDArray[Any]:
    """Returns a stored tensor's values."""
    from onnx import numpy_helper

    values: npt.NDArray[Any] = np.asarray(numpy_helper.to_array(tensor))
    return values


def replace_array(tensor: Any, values: npt.NDArray[Any]) -> None:
    """Replaces a stored tensor's values and keeps its name."""
    from onnx import numpy_helper

    tensor.CopyFrom(numpy_helper.from_array(np.asarray(values, order="C"), tensor.name))


def element_count(tensor: Any) -> int:
    """Returns how many values a stored tensor has."""
    return int(np.prod(tensor.dims)) if tensor.dims else 1


def add_outputs(graph: Any, names: Iterable[str]) -> None:
    """Makes inner tensors outputs of a graph, those that are not yet."""
    import onnx

    existing = {output.name for output in graph.output}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in existing)


def drop_unread_initializers(graph: Any) -> None:
    """Drops the initializers of a graph that no node reads and that are not outputs."""
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def drop_dead(graph: Any) -> None:
    """Drops the nodes and initializers that no output depends on."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    drop_unread_initializers(graph)


def sort_nodes(graph: Any) -> None:
    """Puts every node behind those whose outputs it reads, as ONNX wants it; otherwise the order stays.

    onnxruntime's quantizer writes what it adds to an LSTM behind it.
    """
    made = {name for node in graph.node for name in node.output if name}
    ready: set[str] = set()
    waiting, ordered = list(graph.node), []
    while waiting:
        left = []
        for node in waiting:
            if all(name in ready for name in _read_by(node) if name in made):
                ordered.append(node)
                ready.update(node.output)
            else:
                left.append(node)
        if len(left) == len(waiting):  # a loop, which the checker reports
            ordered += left
            break
        waiting = left
    copies = [type(node).FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def _read_by(node: Any) -> Iterator[str]:
    """Yields what a node reads, with what its subgraphs take from outside."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                yield from _read_by(inner)
