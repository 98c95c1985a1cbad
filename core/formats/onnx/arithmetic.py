"""The operators of an ONNX file that compute, and what they multiply."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pocketvae.formats.damage import refusing_damage
from pocketvae.formats.onnx.model import constants, load_model
from pocketvae.integer_share import Computation

_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Constant"})
# What may stand between a stored tensor and the operator that reads it.
_MOVES = frozenset({"Transpose", "Reshape", "Identity"})
_UNPACKING = _CONVERSIONS | _MOVES
# Operators of integers alone, whatever the types of their scales.
_INTEGER = frozenset({"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"})
# Where weights, or the second operand, are.
_SECOND = {
    "Conv": 1,
    "ConvInteger": 1,
    "ConvTranspose": 1,
    "Gemm": 1,
    "MatMul": 1,
    "MatMulInteger": 1,
    "QLinearConv": 3,
    "QLinearMatMul": 3,
}
# Their float constants bound or name places and are no operands.
_BOUNDED = frozenset({"Clip", "Pad", "Resize"})
# What a runtime computes together with the rounding behind it.
_FUSED = frozenset({"Clip", "Relu"})


def read_onnx_computations(content: bytes) -> tuple[Computation, ...]:
    """Returns the operators that compute, in graph order; a batch of any size counts as one sample.

    Raises:
        ManifestError: the file is damaged.
        TargetError: onnx is not installed.
    """
    model = load_model(content)
    with refusing_damage("the ONNX file", "operators"):
        return tuple(_Reader(_with_shapes(model)).computations())


def _with_shapes(model: Any) -> Any:
    """Returns a graph that states the shape of every tensor as far as it can be inferred, for one sample."""
    from onnx import shape_inference

    given = {dimension.dim_param for value in model.graph.input for dimension in value.type.tensor_type.shape.dim} - {
        ""
    }
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in given:
                dimension.dim_value = 1
    return shape_inference.infer_shapes(model).graph


class _Reader:
    def __init__(self, graph: Any) -> None:
        from onnx import TensorProto

        self._graph = graph
        self._floats = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
        self._constants: dict[str, Any] = constants(graph)
        self._types = {name: tensor.data_type for name, tensor in self._constants.items()}
        self._shapes: dict[str, tuple[int, ...]] = {
            name: tuple(tensor.dims) for name, tensor in self._constants.items()
        }
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            self._types[value.name] = tensor.elem_type
            self._shapes[value.name] = tuple(dimension.dim_value for dimension in tensor.shape.dim)
        self._made_by = {name: node for node in graph.node for name in node.output}
        self._users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        self._results = {value.name for value in graph.output}

    def computations(self) -> Iterator[Computation]:
        """Yields the operators that compute."""
        for node in self._graph.node:
            read = [name for name in node.input if name]
            if node.op_type in _CONVERSIONS or (read and all(self._is_constant(name) for name in read)):
                continue
            integers = all(self._reads_integers(node, name) for name in read)
            yield Computation(
                name=node.name or node.output[0],
                in_integers=node.op_type in _INTEGER
                or (integers and all(self._writes_integers(name) for name in node.output if name)),
                multiply_adds=self._multiply_adds(node),
            )

    def _is_constant(self, name: str) -> bool:
        """Whether a tensor is stored, as it is or as integers of it."""
        seen: set[str] = set()
        # In a damaged file nodes may feed one another.
        while name not in self._constants and name not in seen:
            seen.add(name)
            maker = self._made_by.get(name)
            if maker is None or maker.op_type not in _UNPACKING or not maker.input:
                return False
            name = maker.input[0]
        return name in self._constants

    def _reads_integers(self, node: Any, name: str) -> bool:
        maker = self._unpacking(name)
        if self._is_integer(name) or (maker is not None and maker.op_type == "DequantizeLinear"):
            return True
        # The bias of a layer in integers may be stored as floats.
        is_operand = node.op_type not in _BOUNDED and name in list(node.input)[:2]
        return name in self._constants and not is_operand

    def _unpacking(self, name: str) -> Any | None:
        """Returns what makes a tensor; of a stored one that is moved behind its unpacking, the unpacking."""
        maker = self._made_by.get(name)
        while maker is not None and maker.op_type in _MOVES and self._is_constant(maker.input[0]):
            maker = self._made_by.get(maker.input[0])
        return maker

    def _writes_integers(self, name: str) -> bool:
        seen: set[str] = set()
        # In a damaged file nodes may feed one another.
        while name not in seen:
            seen.add(name)
            users = self._users.get(name, [])
            if self._is_integer(name):
                return True
            if name in self._results or not users:
                return False
            if all(user.op_type == "QuantizeLinear" for user in users):
                return True
            if len(users) > 1 or users[0].op_type not in _FUSED:
                return False
            name = users[0].output[0]
        return False

    def _is_integer(self, name: str) -> bool:
        kind = self._types.get(name, 0)
        return bool(kind) and kind not in self._floats

    def _multiply_adds(self, node: Any) -> int | None:
        place = _SECOND.get(node.op_type)
        if place is None:
            return None
        names = (node.input[0], node.input[place], node.output[0])
        first, second, output = (self._shapes.get(name, ()) for name in names)
        if not first or not second or not output:
            return 0
        if node.op_type == "ConvTranspose":
            return math.prod(first) * math.prod(second[1:])
        if "Conv" in node.op_type:
            return math.prod(output) * math.prod(second[1:])
        if node.op_type == "Gemm":
            return math.prod(output) * math.prod(second) // max(1, output[-1])
        return math.prod(output) * first[-1]
