"""The layers of an ONNX file."""

from __future__ import annotations

from typing import Any

import numpy as np

from pocketvae.formats.damage import refusing_damage
from pocketvae.formats.onnx.model import constants, element_count, load_model
from pocketvae.layer_precision import Granularity, LayerPrecision

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "ConvInteger", "MatMulInteger"})
_UNPACKING = frozenset({"DequantizeLinear", "Cast", "Transpose", "Reshape", "Identity"})


def read_onnx_layers(content: bytes) -> tuple[LayerPrecision, ...]:
    """Returns the layers with constant weights, in graph order.

    Raises:
        ManifestError: the file is damaged.
        TargetError: onnx is not installed.
    """
    graph = load_model(content).graph
    with refusing_damage("the ONNX file", "layers"):
        reader = _Reader(graph)
        found = [reader.layer(node) for node in graph.node if node.op_type in _WEIGHTED]
    return tuple(layer for layer in found if layer is not None)


class _Reader:
    def __init__(self, graph: Any) -> None:
        self._constants = constants(graph)
        self._made_by = {name: node for node in graph.node for name in node.output}
        self._users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)

    def layer(self, node: Any) -> LayerPrecision | None:
        """Returns the layer of a node; None if all its operands are computed."""
        weights = [name for name in node.input[:2] if self._constant(name) is not None]
        if len(weights) != 1:
            return None
        moving = next(name for name in node.input[:2] if name != weights[0])
        tensor, scale = self._stored(weights[0])
        sizes = [self._constant(name) for name in (weights[0], *node.input[2:3])]
        integers = node.op_type.endswith("Integer")
        count = sum(element_count(item) for item in sizes[: 1 if integers else 2] if item is not None)
        return LayerPrecision(
            name=node.name or node.output[0],
            operator=node.op_type,
            weight_count=count,
            weights=_type_name(tensor.data_type),
            granularity=self._granularity_of_integers(node) if integers else _granularity(scale),
            activations=self._type_of(moving),
        )

    def _constant(self, name: str) -> Any | None:
        # In a damaged file nodes may feed one another.
        seen: set[str] = set()
        while name not in self._constants:
            maker = self._made_by.get(name)
            if maker is None or maker.op_type not in _UNPACKING or name in seen:
                return None
            seen.add(name)
            name = maker.input[0]
        return self._constants[name]

    def _stored(self, name: str) -> tuple[Any, Any | None]:
        """Returns the stored constant and the scale that it is unpacked with."""
        scale = None
        while name not in self._constants:
            maker = self._made_by[name]
            if maker.op_type == "DequantizeLinear":
                scale = self._constant(maker.input[1])
            name = maker.input[0]
        return self._constants[name], scale

    def _granularity_of_integers(self, node: Any) -> Granularity:
        # Integer operators are followed by a multiplication with activation scale times weight scales.
        zero = self._constant(node.input[3]) if len(node.input) > 3 else None
        return _granularity(zero)

    def _type_of(self, name: str) -> str:
        maker = self._made_by.get(name)
        if maker is None:
            return "float32"
        if maker.op_type == "DynamicQuantizeLinear":
            return "uint8"
        if maker.op_type == "DequantizeLinear":
            zero = self._constant(maker.input[2]) if len(maker.input) > 2 else None
            return _type_name(zero.data_type) if zero is not None else "uint8"
        return "float32"


def _granularity(scale: Any | None) -> Granularity:
    if scale is None:
        return Granularity.NONE
    return Granularity.PER_CHANNEL if element_count(scale) > 1 else Granularity.PER_TENSOR


def _type_name(data_type: int) -> str:
    import onnx

    return str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(data_type)).name)
