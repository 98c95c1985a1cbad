"""Noise as an ONNX graph, from a seed and an index, written node by node.

onnxruntime adds int32 and shifts uint32, but does not do both for one type, so every word keeps the type in which it
was computed and is cast where the other one is needed. ONNX has an exclusive or since operator set 18.

OpenVINO (2026.4.1) gives unsigned words a sign and shifts them right by a division in float32, see
`findings/openvino_integer_division.sh`. So what is shifted right has at most 24 significant bits here, and the bits
that a sign would move in are cut off: exact everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.convert.onnx import serialize
from pocketvae.numerics.noise import CODE_BITS, SECOND_KEY, TABLE_BITS, block_count, normal_table
from pocketvae.numerics.threefry import threefry2x32
from pocketvae.spec import SEED_INPUTS

# The first one with BitwiseXor.
OPSET = 18
_IR_VERSION = 8
_PREFIX = "noise/"
# Integers that float32 holds exactly have as many bits.
_FLOAT_BITS = 24
_HALF_BITS = 16


@dataclass(eq=False)
class _Word:
    """A word by the names of its tensors; one is computed, the other a cast that is made when it is asked for."""

    names: dict[str, str] = field(default_factory=dict)


class NodeArithmetic:
    """Words as tensors of a graph in the making, see `pocketvae.numerics.threefry.Arithmetic`."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], Any] = {}

    def add(self, word: _Word, other: _Word | int) -> _Word:
        """See `Arithmetic.add`."""
        return self._binary("Add", "int32", word, other)

    def xor(self, word: _Word, other: _Word | int) -> _Word:
        """See `Arithmetic.xor`."""
        kind = "uint32" if "uint32" in word.names else "int32"
        return self._binary("BitwiseXor", kind, word, other)

    def rotate(self, word: _Word, bits: int) -> _Word:
        """See `Arithmetic.rotate`."""
        return self.xor(self._shift(word, "LEFT", bits), self.shift_right(word, 32 - bits))

    def shift_right(self, word: _Word, bits: int) -> _Word:
        """Returns the word shifted by 1 to 31 bits, zeros moving in."""
        if bits >= 32 - _FLOAT_BITS:
            return self._shift_high(word, bits, bits)
        low = self._and(word, (1 << _HALF_BITS) - 1)
        return self.xor(self._shift_high(word, bits, _HALF_BITS), self._shift(low, "RIGHT", bits))

    def _shift_high(self, word: _Word, bits: int, cut: int) -> _Word:
        """Shifts what is above the lowest `cut` bits. Where words have a sign, copies of it move in and are cut off."""
        high = self.xor(word, self._and(word, (1 << cut) - 1))
        return self._and(self._shift(high, "RIGHT", bits), (1 << 32 - bits) - 1)

    def _shift(self, word: _Word, direction: str, bits: int) -> _Word:
        amount = self.constant(np.array([bits], np.uint32))
        return _Word({"uint32": self.node("BitShift", self._name(word, "uint32"), amount, direction=direction)})

    def _and(self, word: _Word, mask: int) -> _Word:
        kind = "uint32" if "uint32" in word.names else "int32"
        return self._binary("BitwiseAnd", kind, word, mask)

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds a node and returns the name of its output."""
        from onnx import helper

        unique = f"{_PREFIX}{kind}_{len(self.nodes)}"
        name = output or unique
        self.nodes.append(helper.make_node(kind, list(inputs), [name], unique, **attributes))
        return name

    def slice(self, source: str, start: int, end: int, output: str = "") -> str:
        """Returns the name of the columns from `start` to before `end`."""
        bounds = (self.constant(np.array([bound], np.int64)) for bound in (start, end, 1))
        return self.node("Slice", source, *bounds, output=output)

    def constant(self, value: Any) -> str:
        """Returns the name of a constant, each kept once."""
        from onnx import numpy_helper

        key = value.dtype.name, value.shape, value.tobytes()
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(value, f"{_PREFIX}constant_{len(self.constants)}")
        name: str = self.constants[key].name
        return name

    def _binary(self, kind: str, dtype: str, word: _Word, other: _Word | int) -> _Word:
        if isinstance(other, int):
            right = self.constant(np.array([other], np.uint32).view(dtype))
        else:
            right = self._name(other, dtype)
        return _Word({dtype: self.node(kind, self._name(word, dtype), right)})

    def _name(self, word: _Word, dtype: str) -> str:
        if dtype not in word.names:
            (source,) = word.names.values()
            word.names[dtype] = self.node("Cast", source, to=_onnx_type(dtype))
        return word.names[dtype]

    def name_int32(self, word: _Word) -> str:
        """Returns the name of the word's tensor as int32."""
        return self._name(word, "int32")


def build_noise(outputs: Mapping[str, tuple[int, ...]], codes: int | npt.NDArray[np.int32] = 0) -> bytes:
    """Builds `seed [1] int32, index [1] int32 -> outputs [1, ...]`: `normal_noise` or `uniform_codes` of one pair.

    Args:
        outputs: Shape of each by name, without the batch; each takes up the stream where the one before it ends.
        codes: Number of codes, one for all values or `[D]`; 0 for noise. An output is all codes or all noise.
    """
    import onnx
    from onnx import helper

    graph, dim = NodeArithmetic(), sum(map(math.prod, outputs.values()))
    counts = np.broadcast_to(codes, dim)
    blocks = _Word({"int32": graph.constant(np.arange(block_count(dim), dtype=np.int32)[np.newaxis])})
    # One row per pair: so the graph can take several, see `batches_onnx`.
    column = graph.constant(np.array([-1, 1], np.int64))
    seed, index = (_Word({"int32": graph.node("Reshape", name, column)}) for name in ("seed", "index"))
    first, second = threefry2x32(graph, (seed, SECOND_KEY), (index, blocks))
    words = graph.node("Concat", graph.name_int32(first), graph.name_int32(second), axis=1)
    if dim % 2:
        words = graph.slice(words, 0, dim)
    name = next((name for name, shape in outputs.items() if len(outputs) == len(shape) == 1), "")
    kinds = {
        is_code: _codes(graph, words, codes, name) if is_code else _look_up(graph, words, name)
        for is_code in sorted(set((counts > 0).tolist()))
    }
    if not name:
        _split(graph, kinds, outputs, counts)

    def value(name: str, dtype: str, shape: list[int]) -> Any:
        return helper.make_tensor_value_info(name, _onnx_type(dtype), shape)

    inputs = [value(spec.name, spec.dtype, list(spec.shape)) for spec in SEED_INPUTS]
    types = ["int32" if is_code else "float32" for is_code in _are_codes(outputs, counts)]
    results = [value(name, dtype, [1, *shape]) for (name, shape), dtype in zip(outputs.items(), types, strict=True)]
    body = helper.make_graph(graph.nodes, "sampler", inputs, results, list(graph.constants.values()))
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return serialize(model)


def _are_codes(outputs: Mapping[str, tuple[int, ...]], counts: npt.NDArray[Any]) -> list[bool]:
    """Returns of each output whether it is codes, by how many there are for each value, `[D]`."""
    ends = np.cumsum([math.prod(shape) for shape in outputs.values()])
    return [bool(counts[end - 1]) for end in ends]


def _split(
    graph: NodeArithmetic,
    kinds: Mapping[bool, str],
    outputs: Mapping[str, tuple[int, ...]],
    counts: npt.NDArray[Any],
) -> None:
    """Makes the outputs from codes and noise `[1, D]`; the only one is all of it."""
    start = 0
    for (name, shape), is_code in zip(outputs.items(), _are_codes(outputs, counts), strict=True):
        end, is_vector, values = start + math.prod(shape), len(shape) == 1, kinds[is_code]
        part = values if len(outputs) == 1 else graph.slice(values, start, end, output=name if is_vector else "")
        if not is_vector:
            graph.node("Reshape", part, graph.constant(np.array([-1, *shape], np.int64)), output=name)
        start = end


def _look_up(graph: NodeArithmetic, signed: str, output: str) -> str:
    """Turns words into noise: the first bit of each is the sign, the next ones are the position in the table.

    Returns the name of the noise, `output` if it is not empty.
    """
    word = _Word({"int32": signed})
    high = graph.shift_right(word, 31 - TABLE_BITS)
    sign = graph.shift_right(word, 31)
    # Where the first bit is set, flips it and those that follow, so that positions count from the middle outwards.
    flips = graph.node("Mul", graph.name_int32(sign), graph.constant(np.array([(2 << TABLE_BITS) - 1], np.int32)))
    positions = graph.xor(_Word({"int32": graph.name_int32(high)}), _Word({"int32": flips}))
    values = graph.node("Gather", graph.constant(normal_table()), graph.name_int32(positions))
    two, one = (graph.constant(np.array([number], np.int32)) for number in (2, 1))
    factor = graph.node("Sub", one, graph.node("Mul", graph.name_int32(sign), two))
    return graph.node("Mul", values, graph.node("Cast", factor, to=_onnx_type("float32")), output=output)


def _codes(graph: NodeArithmetic, signed: str, codes: int | npt.NDArray[np.int32], output: str) -> str:
    """Turns words into codes; returns the name of their tensor, `output` if it is not empty."""
    upper = graph.name_int32(graph.shift_right(_Word({"int32": signed}), CODE_BITS))
    product = graph.node("Mul", upper, graph.constant(np.atleast_1d(np.asarray(codes, np.int32))))
    code = graph.name_int32(graph.shift_right(_Word({"int32": product}), CODE_BITS))
    return graph.node("Identity", code, output=output)


def _onnx_type(dtype: str) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
