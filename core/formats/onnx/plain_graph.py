"""The nodes and constants of an ONNX file, read without the onnx package, which devices do not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pocketvae.formats.onnx.metadata import fields

# Field numbers of onnx.proto: in GraphProto, NodeProto, AttributeProto and TensorProto.
_NODE, _INITIALIZER = 1, 5
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_TEXT = 1, 4
_TENSOR_NAME = 8


@dataclass(frozen=True, kw_only=True)
class PlainNode:
    """An operator.

    Attributes:
        operator: Its kind.
        inputs: Names of tensors; empty for one that is left out.
        outputs: Names of tensors.
        texts: Its attributes that are text.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    texts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PlainGraph:
    """A graph.

    Attributes:
        nodes: In the file's order.
        constants: Type, shape and values of each constant as they stand in the file.
    """

    nodes: tuple[PlainNode, ...]
    constants: Mapping[str, bytes]

    def values(self, names: Sequence[str]) -> list[bytes]:
        """Returns the constants of these names; the name itself for a tensor that is not constant."""
        return [self.constants.get(name, name.encode()) for name in names]


def read_graph(content: bytes) -> PlainGraph:
    """Returns the graph of a message `GraphProto`.

    Raises:
        ManifestError: the bytes are not a protobuf message.
    """
    parts = list(fields(content))
    return PlainGraph(
        nodes=tuple(_node(part.value) for part in parts if part.number == _NODE),
        constants=dict(_constant(part.value) for part in parts if part.number == _INITIALIZER),
    )


def _node(content: bytes) -> PlainNode:
    parts = list(fields(content))

    def names(number: int) -> tuple[str, ...]:
        return tuple(_text(part.value) for part in parts if part.number == number)

    attributes = [{part.number: part for part in fields(part.value)} for part in parts if part.number == _ATTRIBUTE]
    texts = {
        _text(attribute[_ATTRIBUTE_NAME].value): _text(attribute[_ATTRIBUTE_TEXT].value)
        for attribute in attributes
        if _ATTRIBUTE_NAME in attribute and _ATTRIBUTE_TEXT in attribute
    }
    return PlainNode(
        operator=next(iter(names(_OPERATOR)), ""), inputs=names(_INPUT), outputs=names(_OUTPUT), texts=texts
    )


def _constant(content: bytes) -> tuple[str, bytes]:
    parts = list(fields(content))
    name = next((_text(part.value) for part in parts if part.number == _TENSOR_NAME), "")
    return name, b"".join(part.raw for part in parts if part.number != _TENSOR_NAME)


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")
