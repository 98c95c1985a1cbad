"""What tuning adds in float to a TFLite file, in fewer operators: they take time and compute next to nothing.

A sum of parts needs no factor and no constant where the scale and the zero point of the parts have them already. What
is left of the constant, with the mean error of the sum, goes into the biases. A coarse part is what the runtime's own
rounding makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.tuning.names import is_float_part
from pocketvae.formats.tflite.editing import add_tensor, new_operator
from pocketvae.formats.tflite.model import (
    constant,
    dtype_name,
    operator_name,
    read_model,
    schema,
    tensor_name,
    tensor_shape,
    write_model,
)

_LOWEST, _HIGHEST, _LEVELS = -128, 127, 255
_RELU6 = 6.0
_WEIGHTED = frozenset({"CONV_2D", "FULLY_CONNECTED"})
# Of the first version with int8.
_DEQUANTIZE_VERSION, _CONCATENATION_VERSION = 2, 2


def with_fewer_floats(content: bytes) -> bytes:
    """Returns a quantized file of a tuned network with fewer operators in float; the same where there are none."""
    edited = _Edited(content)
    sums, parts = list(edited.sums()), list(edited.parts())
    for total in sums:
        edited.fold_sum(total)
    for item in parts:
        edited.fold_parts(item)
    is_changed = edited.drop_relus() or bool(sums or parts)
    return edited.content() if is_changed else content


@dataclass(frozen=True, kw_only=True)
class _Sum:
    """A sum of parts: `add(dequantized parts of layer) * factor - shift`."""

    layer: Any
    added: Any
    factor: Any
    shift: Any
    parts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """A coarse and a fine part of a value: `quantize(concat(coarse, (value - coarse) * 16))`."""

    value: int
    rounding: tuple[Any, ...]
    difference: Any
    fine: Any
    joined: Any
    quantized: Any


class _Edited:
    """A file that is changed."""

    def __init__(self, content: bytes) -> None:
        self._model = read_model(content)
        self._graph = self._model.subgraphs[0]

    def content(self) -> bytes:
        return write_model(self._model)

    def sums(self) -> Iterator[_Sum]:
        """Yields the sums of parts whose layer has a bias of its own."""
        for shift in self._graph.operators:
            factor = self._maker(shift, "SUB")
            added = self._maker(factor, "MUL")
            unpacked = [self._maker_of(term) for term in self._added(added)]
            split: Any = self._maker(unpacked[0], "DEQUANTIZE") if unpacked else None
            layer = self._maker(split, "SPLIT", place=1)
            if (
                layer is not None
                and operator_name(self._model, layer) in _WEIGHTED
                and all(self._values(item.inputs[1], np.float32) is not None for item in (shift, factor))
                and all(self._maker(item, "DEQUANTIZE") is split for item in unpacked)
                and [item.inputs[0] for item in unpacked] == list(split.outputs)
                and self._is_foldable(layer)
            ):
                yield _Sum(layer=layer, added=added, factor=factor, shift=shift, parts=tuple(split.outputs))

    def fold_sum(self, found: _Sum) -> None:
        """Gives the parts the scale that makes their sum the result, and the biases what is left of the constant."""
        graph, layer = self._graph, found.layer
        weights, bias, made = (graph.tensors[index] for index in (*layer.inputs[1:3], layer.outputs[0]))
        factor = float(self._constant(found.factor.inputs[1], np.float32).reshape(-1)[0])
        shift = self._constant(found.shift.inputs[1], np.float32).astype(np.float64).reshape(-1)
        step, count = made.quantization.scale[0] * factor, len(found.parts)
        zero = _zero_point(float(np.mean(shift)), step, count)
        for tensor in (weights, bias):
            tensor.quantization.scale = (np.asarray(tensor.quantization.scale, np.float64) * factor).tolist()
        for index in (layer.outputs[0], *found.parts):
            tensor = graph.tensors[index]
            tensor.quantization.scale, tensor.quantization.zeroPoint = [step], [zero]
        # With this bias the integers stay the same; the rest moves each part.
        moved = step * (_LOWEST - zero)
        rest = np.broadcast_to(-shift - count * moved, (tensor_shape(made)[-1] // count,))
        integers = self._constant(layer.inputs[2], np.int32) + (moved + np.tile(rest, count)) / np.asarray(
            bias.quantization.scale, np.float64
        )
        self._model.buffers[bias.buffer].data = np.rint(integers).astype(np.int32).view(np.uint8)
        layer.builtinOptions.fusedActivationFunction = schema().ActivationFunctionType.NONE
        found.added.outputs = [found.shift.outputs[0]]
        self._remove(found.factor, found.shift)

    def parts(self) -> Iterator[_Parts]:
        """Yields the values in parts."""
        for quantized in self._graph.operators:
            joined = self._maker(quantized, "QUANTIZE")
            if joined is None or operator_name(self._model, joined) != "CONCATENATION" or len(joined.inputs) != 2:
                continue
            coarse, fine = (self._maker_of(index) for index in joined.inputs)
            difference, floor = self._maker(fine, "MUL"), self._maker(coarse, "MUL")
            added = self._maker(floor, "FLOOR")
            scaled = self._maker(added, "ADD")
            if difference is None or scaled is None or operator_name(self._model, difference) != "SUB":
                continue
            value = scaled.inputs[0]
            if list(difference.inputs) == [value, coarse.outputs[0]] and is_float_part(self._name(joined.outputs[0])):
                rounding = (scaled, added, floor, coarse)
                yield _Parts(
                    value=value, rounding=rounding, difference=difference, fine=fine, joined=joined, quantized=quantized
                )

    def fold_parts(self, found: _Parts) -> None:
        """Has the coarse part rounded by the operator that makes integers of it."""
        graph = self._graph
        integers = graph.tensors[found.quantized.outputs[0]]
        both = [self._integers(tensor, integers) for tensor in found.joined.inputs]
        coarse, fine = found.joined.inputs
        quantize = [
            new_operator(self._model, "QUANTIZE", "QuantizeOptions", [index], made)
            for index, made in zip((found.value, fine), both, strict=True)
        ]
        unpack = new_operator(self._model, "DEQUANTIZE", "DequantizeOptions", [both[0]], coarse, _DEQUANTIZE_VERSION)
        join = new_operator(
            self._model,
            "CONCATENATION",
            "ConcatenationOptions",
            both,
            found.quantized.outputs[0],
            _CONCATENATION_VERSION,
        )
        join.builtinOptions = found.joined.builtinOptions
        place = graph.operators.index(found.rounding[0])
        self._remove(*found.rounding, found.joined)
        graph.operators[place:place] = [quantize[0], unpack]
        place = graph.operators.index(found.fine) + 1
        graph.operators[place:place] = [quantize[1], join]
        self._remove(found.quantized)

    def drop_relus(self) -> bool:
        """Removes each ReLU in float whose result is quantized to integers from 0 on, which clips alike."""
        found = []
        for operator in self._graph.operators:
            users = self._users(operator.outputs[0])
            if (
                operator_name(self._model, operator) == "RELU"
                and dtype_name(self._graph.tensors[operator.inputs[0]]) == "float32"
                and operator.outputs[0] not in self._graph.outputs
                and users
                and all(self._is_from_zero(user) for user in users)
            ):
                found.append(operator)
                for user in users:
                    user.inputs = [operator.inputs[0]]
        self._remove(*found)
        return bool(found)

    def _is_from_zero(self, operator: Any) -> bool:
        made = self._graph.tensors[operator.outputs[0]]
        return (
            operator_name(self._model, operator) == "QUANTIZE"
            and dtype_name(made) == "int8"
            and int(made.quantization.zeroPoint[0]) == _LOWEST
        )

    def _is_foldable(self, layer: Any) -> bool:
        """Whether an integer layer clips at both ends of the integers, and has weights and a bias for itself."""
        if len(layer.inputs) < 3 or layer.inputs[2] < 0:
            return False
        made = self._graph.tensors[layer.outputs[0]]
        own = all(
            sum(other.buffer == self._graph.tensors[index].buffer for other in self._graph.tensors) == 1
            for index in layer.inputs[1:3]
        )
        return bool(
            own
            and dtype_name(made) == "int8"
            and dtype_name(self._graph.tensors[layer.inputs[2]]) == "int32"
            and layer.builtinOptions.fusedActivationFunction == schema().ActivationFunctionType.RELU6
            and int(made.quantization.zeroPoint[0]) == _LOWEST
            and round(_RELU6 / float(made.quantization.scale[0])) >= _LEVELS
        )

    def _added(self, operator: Any) -> Iterator[int]:
        """Yields the terms of a sum of any number of terms, in order."""
        if operator is None or operator_name(self._model, operator) != "ADD":
            return
        for index in operator.inputs:
            maker = self._maker_of(index)
            if maker is not None and operator_name(self._model, maker) == "ADD" and self._is_private(index):
                yield from self._added(maker)
            else:
                yield index

    def _integers(self, like: int, integers: Any) -> int:
        """Adds a tensor of the shape of one and the integers of another."""
        tensor = self._graph.tensors[like]
        made = add_tensor(self._graph, f"{tensor_name(tensor)}_int8", tensor_shape(tensor), "int8")
        parameters = schema().QuantizationParametersT()
        parameters.scale = list(integers.quantization.scale)
        parameters.zeroPoint = list(integers.quantization.zeroPoint)
        self._graph.tensors[made].quantization = parameters
        return made

    def _maker(self, operator: Any, kind: str, place: int = 0) -> Any:
        """Returns what makes an input of an operator of a kind, if nothing else reads it; else None."""
        if operator is None or operator_name(self._model, operator) != kind:
            return None
        return self._maker_of(operator.inputs[place]) if self._is_private(operator.inputs[place]) else None

    def _maker_of(self, tensor: int) -> Any:
        return next((item for item in self._graph.operators if tensor in item.outputs), None)

    def _users(self, tensor: int) -> list[Any]:
        return [item for item in self._graph.operators if tensor in item.inputs]

    def _is_private(self, tensor: int) -> bool:
        return len(self._users(tensor)) == 1 and tensor not in self._graph.outputs

    def _values(self, tensor: int, dtype: type) -> npt.NDArray[Any] | None:
        data = constant(self._model, self._graph.tensors[tensor])
        return None if data is None else data.view(dtype)

    def _constant(self, tensor: int, dtype: type) -> npt.NDArray[Any]:
        return np.asarray(self._values(tensor, dtype))

    def _name(self, tensor: int) -> str:
        return tensor_name(self._graph.tensors[tensor])

    def _remove(self, *operators: Any) -> None:
        gone = {id(item) for item in operators}
        self._graph.operators = [item for item in self._graph.operators if id(item) not in gone]


def _zero_point(shift: float, step: float, count: int) -> int:
    """Returns the integer that stands for 0 in each part, so that their sum lacks little of a constant."""
    return int(np.clip(round(_LOWEST + shift / (count * step)), _LOWEST, _HIGHEST))
