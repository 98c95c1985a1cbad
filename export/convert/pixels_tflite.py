"""Pixels as input or output of a TFLite file, with three or four built-in operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pocketvae.data.pixels import WHITE
from pocketvae.errors import ExportError
from pocketvae.spec import Component


def with_pixels(content: bytes, component: Component, image_range: tuple[float, float]) -> bytes:
    """Returns the file with its image as uint8.

    Args:
        content: A file of one subgraph and one signature whose image is float32.
        component: An encoder takes pixels, the others return them, rounded half up.
        image_range: The values that 0 and 255 represent.

    Raises:
        ExportError: the image is not float32.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    editor = _Editor(model)
    if component is Component.ENCODER:
        editor.take_pixels("x", image_range)
    else:
        editor.return_pixels("image", image_range)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


class _Editor:
    """Adds operators to a model's only graph."""

    def __init__(self, model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema, self._model = schema, model
        self._graph, self._signature = model.subgraphs[0], model.signatureDefs[0]

    def return_pixels(self, name: str, image_range: tuple[float, float]) -> None:
        """Puts scaling, half a step and a conversion, which cuts off what is behind the point, behind an output."""
        entry = self._entry(self._signature.outputs, name)
        low, high = image_range
        scale = WHITE / (high - low)
        image: int = entry.tensorIndex
        scaled, shifted = self._like(image, "scaled"), self._like(image, "shifted")
        pixels = self._like(image, "pixels", self._schema.TensorType.UINT8)
        self._graph.operators += [
            self._binary("MUL", image, scale, scaled),
            self._binary("ADD", scaled, 0.5 - low * scale, shifted),
            self._cast(shifted, pixels),
        ]
        self._graph.outputs = [pixels if index == image else index for index in self._graph.outputs]
        entry.tensorIndex = pixels

    def take_pixels(self, name: str, image_range: tuple[float, float]) -> None:
        """Puts a conversion and scaling in front of an input, with the rounding of `pixels.from_pixels`."""
        entry = self._entry(self._signature.inputs, name)
        low, high = image_range
        image: int = entry.tensorIndex
        pixels = self._like(image, "pixels", self._schema.TensorType.UINT8)
        whole = self._like(image, "whole")
        unit = image if image_range == (0.0, 1.0) else self._like(image, "unit")
        operators = [self._cast(pixels, whole), self._binary("DIV", whole, float(WHITE), unit)]
        if unit != image:
            spread = self._like(image, "spread")
            operators += [self._binary("MUL", unit, high - low, spread), self._binary("ADD", spread, low, image)]
        self._graph.operators = [*operators, *self._graph.operators]
        self._graph.inputs = [pixels if index == image else index for index in self._graph.inputs]
        entry.tensorIndex = pixels

    def _entry(self, entries: Sequence[Any], name: str) -> Any:
        entry = next(entry for entry in entries if entry.name.decode() == name)
        if self._graph.tensors[entry.tensorIndex].type != self._schema.TensorType.FLOAT32:
            raise ExportError(f"{name!r} must be float32 to be turned into pixels")
        return entry

    def _like(self, index: int, suffix: str, kind: int | None = None) -> int:
        """Adds a tensor of another one's shape and returns its position."""
        source = self._graph.tensors[index]
        tensor = self._schema.TensorT()
        tensor.name = source.name + f"/{suffix}".encode()
        tensor.shape = list(source.shape)
        tensor.type = self._schema.TensorType.FLOAT32 if kind is None else kind
        tensor.buffer = 0
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _binary(self, kind: str, source: int, constant: float, target: int) -> Any:
        options = {"ADD": "AddOptions", "MUL": "MulOptions", "DIV": "DivOptions"}[kind]
        operator = self._operator(kind, options, [source, self._number(constant)], target)
        operator.builtinOptions.fusedActivationFunction = self._schema.ActivationFunctionType.NONE
        return operator

    def _cast(self, source: int, target: int) -> Any:
        operator = self._operator("CAST", "CastOptions", [source], target)
        operator.builtinOptions.inDataType = self._graph.tensors[source].type
        operator.builtinOptions.outDataType = self._graph.tensors[target].type
        return operator

    def _operator(self, kind: str, options: str, inputs: list[int], target: int) -> Any:
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._opcode(getattr(self._schema.BuiltinOperator, kind))
        operator.inputs, operator.outputs = inputs, [target]
        operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, options)
        operator.builtinOptions = getattr(self._schema, f"{options}T")()
        return operator

    def _opcode(self, code: int) -> int:
        for index, known in enumerate(self._model.operatorCodes):
            if known.builtinCode == code and known.version == 1:
                return index
        made = self._schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        made.version = 1
        self._model.operatorCodes.append(made)
        return len(self._model.operatorCodes) - 1

    def _number(self, value: float) -> int:
        buffer, tensor = self._schema.BufferT(), self._schema.TensorT()
        buffer.data = list(np.float32(value).tobytes())
        self._model.buffers.append(buffer)
        tensor.name, tensor.shape, tensor.type = b"pixels/number", [], self._schema.TensorType.FLOAT32
        tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1
