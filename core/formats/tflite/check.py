"""The checks that every TFLite file passes before anything follows its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pocketvae.formats.damage import Damage

# Bits of one element, of the types whose constants are stored one element behind the other.
_BITS = {
    "FLOAT32": 32,
    "FLOAT16": 16,
    "BFLOAT16": 16,
    "FLOAT64": 64,
    "INT2": 2,
    "INT4": 4,
    "UINT4": 4,
    "INT8": 8,
    "UINT8": 8,
    "BOOL": 8,
    "INT16": 16,
    "UINT16": 16,
    "INT32": 32,
    "UINT32": 32,
    "INT64": 64,
    "UINT64": 64,
}


def check_model(model: Any, types: Mapping[int, str]) -> None:
    """Refuses a model with numbers that point nowhere, and replaces lists that are missing by empty ones.

    Args:
        model: A `ModelT`.
        types: The schema's number of each tensor type, to its name.

    Raises:
        Damage: with what does not fit; any other error is the file's fault too.
    """
    for field in ("buffers", "operatorCodes"):
        _fill(model, field)
    for code in model.operatorCodes:
        if not _text(code.customCode or b"", "custom operator").isprintable():
            raise Damage("the name of a custom operator is not text")
    if not model.subgraphs:
        raise Damage("it has no graph")
    for graph in model.subgraphs:
        for field in ("tensors", "operators", "inputs", "outputs"):
            _fill(graph, field)
        for tensor in graph.tensors:
            _check_tensor(model, tensor, types)
        for operator in graph.operators:
            _check_operator(model, graph, operator)
        _check_indices((*graph.inputs, *graph.outputs), graph.tensors, "the interface's tensors")
    for signature in model.signatureDefs or ():
        _check_signature(model, signature)
    for entry in model.metadata or ():
        _text(entry.name, "metadata")
        _check_indices([entry.buffer], model.buffers, "buffer of the metadata")


def _fill(item: Any, field: str) -> None:
    if getattr(item, field) is None:
        setattr(item, field, [])


def _check_tensor(model: Any, tensor: Any, types: Mapping[int, str]) -> None:
    tensor.name = tensor.name or b""
    name = _text(tensor.name, "tensor")
    shape = list(tensor.shape) if tensor.shape is not None else []
    if tensor.type not in types:
        raise Damage(f"tensor {name!r} has the unknown type {tensor.type}")
    if any(size < 0 for size in shape):
        raise Damage(f"tensor {name!r} has the shape {shape}")
    _check_indices([tensor.buffer], model.buffers, f"buffer of the tensor {name!r}")
    data, bits = model.buffers[tensor.buffer].data, _BITS.get(types[tensor.type])
    needed = -(-math.prod(shape) * bits // 8) if bits and tensor.sparsity is None else 0
    if data is not None and 0 < len(data) < needed:
        raise Damage(f"the constant {name!r} needs {needed} bytes, its buffer has {len(data)}")
    _check_quantization(tensor, name)


def _check_quantization(tensor: Any, name: str) -> None:
    if tensor.quantization is None or tensor.quantization.scale is None:
        return
    zero_points = tensor.quantization.zeroPoint
    scales, points = len(tensor.quantization.scale), 0 if zero_points is None else len(zero_points)
    if scales != points:
        raise Damage(f"{name!r} has {scales} scales and {points} zero points")


def _check_operator(model: Any, graph: Any, operator: Any) -> None:
    for field in ("inputs", "outputs"):
        _fill(operator, field)
    _check_indices([operator.opcodeIndex], model.operatorCodes, "kind of an operator")
    # An input that is left out, such as a missing bias, has the number -1.
    used = (*(index for index in operator.inputs if index != -1), *operator.outputs)
    _check_indices(used, graph.tensors, "tensors of an operator")


def _check_signature(model: Any, signature: Any) -> None:
    for field in ("inputs", "outputs"):
        _fill(signature, field)
    _check_indices([signature.subgraphIndex], model.subgraphs, "graph of a signature")
    _text(signature.signatureKey or b"", "signature")
    entries = (*signature.inputs, *signature.outputs)
    for entry in entries:
        _text(entry.name, "signature")
    tensors = model.subgraphs[signature.subgraphIndex].tensors
    _check_indices([entry.tensorIndex for entry in entries], tensors, "tensors of a signature")


def _check_indices(indices: Iterable[int], items: Sequence[Any], what: str) -> None:
    for index in indices:
        if not 0 <= index < len(items):
            raise Damage(f"the {what} has number {index} of {len(items)}")


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as e:
        raise Damage(f"the name of a {what} is not UTF-8") from e
