"""Pixels as input or output of a TFLite file, with three or four built-in operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pocketvae.errors import ExportError
from pocketvae.formats.tflite.editing import add_constant, add_tensor, new_operator, signature_entry
from pocketvae.formats.tflite.model import (
    dtype_name,
    main_signature,
    read_model,
    tensor_name,
    tensor_shape,
    write_model,
)
from pocketvae.numerics.pixels import WHITE
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
    model = read_model(content)
    editor = _Editor(model)
    if component is Component.ENCODER:
        editor.take_pixels("x", image_range)
    else:
        editor.return_pixels("image", image_range)
    return write_model(model)


class _Editor:
    """Adds operators to a model's only graph."""

    def __init__(self, model: Any) -> None:
        self._model, self._graph, self._signature = model, model.subgraphs[0], main_signature(model)

    def return_pixels(self, name: str, image_range: tuple[float, float]) -> None:
        """Puts scaling, half a step and a conversion, which cuts off what is behind the point, behind an output."""
        entry = self._entry(self._signature.outputs, name)
        low, high = image_range
        scale = WHITE / (high - low)
        image: int = entry.tensorIndex
        scaled, shifted = self._like(image, "scaled"), self._like(image, "shifted")
        pixels = self._like(image, "pixels", "uint8")
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
        pixels = self._like(image, "pixels", "uint8")
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
        entry = signature_entry(entries, name)
        if dtype_name(self._graph.tensors[entry.tensorIndex]) != "float32":
            raise ExportError(f"{name!r} must be float32 to be turned into pixels")
        return entry

    def _like(self, index: int, suffix: str, dtype: str = "float32") -> int:
        """Adds a tensor of another one's shape and returns its position."""
        source = self._graph.tensors[index]
        return add_tensor(self._graph, f"{tensor_name(source)}/{suffix}", tensor_shape(source), dtype)

    def _binary(self, kind: str, source: int, constant: float, target: int) -> Any:
        number = add_constant(self._model, self._graph, "pixels/number", np.float32(constant))
        # Without a fused activation function, which is what options begin with.
        return new_operator(self._model, kind, f"{kind.capitalize()}Options", [source, number], target)

    def _cast(self, source: int, target: int) -> Any:
        operator = new_operator(self._model, "CAST", "CastOptions", [source], target)
        operator.builtinOptions.inDataType = self._graph.tensors[source].type
        operator.builtinOptions.outDataType = self._graph.tensors[target].type
        return operator
