"""Changing a TFLite model that `model.read_model` has read: what is added, and what is looked up by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.formats.tflite.model import builtin_code, schema, tensor_type

# Name of the converter's metadata: the oldest runtime that has the file's operators.
MINIMUM_VERSION = "min_runtime_version"
_MINIMUM_VERSION_BYTES = 16


def signature_entry(entries: Sequence[Any], name: str) -> Any:
    """Returns the entry of a signature's inputs or outputs.

    Raises:
        ExportError: there is none; the message says which there are.
    """
    found = next((entry for entry in entries if entry.name.decode() == name), None)
    if found is None:
        names = ", ".join(entry.name.decode() for entry in entries)
        raise ExportError(f"the file's signature must have {name!r}, got {names or 'nothing'}")
    return found


def add_buffer(model: Any, data: bytes) -> int:
    """Adds a constant's bytes and returns the number of their buffer."""
    buffer = schema().BufferT()
    buffer.data = np.frombuffer(data, np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_tensor(graph: Any, name: str, shape: Sequence[int], dtype: str, buffer: int = 0) -> int:
    """Adds a tensor and returns its number; buffer 0 stands for one that is computed."""
    tensor = schema().TensorT()
    tensor.name, tensor.shape = name.encode(), [int(size) for size in shape]
    tensor.type, tensor.buffer = tensor_type(dtype), buffer
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def add_constant(model: Any, graph: Any, name: str, values: npt.NDArray[Any] | np.generic) -> int:
    """Adds a constant tensor and returns its number."""
    buffer = add_buffer(model, values.tobytes())
    return add_tensor(graph, name, values.shape, values.dtype.name, buffer)


def new_operator(model: Any, kind: str, options: str, inputs: list[int], output: int, version: int = 1) -> Any:
    """Returns a built-in operator that is in no graph yet.

    Args:
        model: Its list of operators gets the kind where it does not have it.
        kind: In the schema, such as `MUL`.
        options: The table of its options, such as `MulOptions`.
        inputs: Numbers of tensors.
        output: Number of a tensor.
        version: Of the operator.
    """
    tables = schema()
    operator = tables.OperatorT()
    operator.opcodeIndex = _opcode(model, getattr(tables.BuiltinOperator, kind), version)
    operator.inputs, operator.outputs = inputs, [output]
    operator.builtinOptionsType = getattr(tables.BuiltinOptions, options)
    operator.builtinOptions = getattr(tables, f"{options}T")()
    return operator


def place_of(graph: Any, operator: Any) -> int:
    """Returns where an operator stands in its graph; equal ones are others."""
    return next(place for place, other in enumerate(graph.operators) if other is operator)


def redirect(graph: Any, moved: Mapping[int, int]) -> None:
    """Gives every operator that reads a tensor the one that takes its place.

    Args:
        graph: Is changed.
        moved: Number of a tensor to that of the other.
    """
    for operator in graph.operators:
        operator.inputs = [moved.get(int(index), int(index)) for index in operator.inputs]


def minimum_version(model: Any) -> str:
    """Returns the oldest runtime that has the file's operators, as the converter noted it; empty where it did not."""
    buffer = _minimum_version_buffer(model)
    return bytes(buffer.data).split(b"\0")[0].decode("ascii", errors="replace") if buffer is not None else ""


def set_minimum_version(model: Any, version: str) -> None:
    """Replaces the converter's note; a file without one stays without."""
    buffer = _minimum_version_buffer(model)
    if buffer is not None:
        buffer.data = np.frombuffer(version.encode().ljust(_MINIMUM_VERSION_BYTES, b"\0"), np.uint8)


def _minimum_version_buffer(model: Any) -> Any | None:
    buffers = [model.buffers[entry.buffer] for entry in model.metadata or () if entry.name.decode() == MINIMUM_VERSION]
    return next((buffer for buffer in buffers if buffer.data is not None), None)


def _opcode(model: Any, number: int, version: int) -> int:
    for index, known in enumerate(model.operatorCodes):
        if builtin_code(known) == number and known.version == version:
            return index
    made = schema().OperatorCodeT()
    # Readers before 2020 know only the field of one byte, in which larger numbers have a placeholder.
    made.builtinCode, made.deprecatedBuiltinCode, made.version = number, min(number, 127), version
    model.operatorCodes.append(made)
    return len(model.operatorCodes) - 1
