"""Faults in TFLite files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mutations.mutation import Mutation, Weights, weight_changes

# Kernels are [out, height, width, in].
_SPATIAL_AXES = (1, 2)
_FEWEST_WEIGHTS = 16
# TensorType of the schema to numpy; other types hold no weights.
_TYPES = {0: np.float32, 1: np.float16, 3: np.uint8, 9: np.int8, 7: np.int16}
# BuiltinOperator: LOGISTIC becomes TANH, RELU becomes RELU6.
_OTHER_OPERATORS = {14: 28, 19: 21, 28: 14}
# ActivationFunctionType: NONE becomes RELU, RELU becomes NONE, RELU6 becomes RELU.
_OTHER_ACTIVATIONS = {0: 1, 1: 0, 3: 1}


def tflite_mutations(content: bytes, rng: np.random.Generator, *, bit_flips: int) -> Iterator[Mutation]:
    """Yields faults of every kind that the file has a place for; see `onnx_mutations`."""
    weighted = _weighted(_read(content))
    flip, *others = weight_changes(_SPATIAL_AXES)
    chosen = [(flip, int(index)) for index in rng.choice(weighted, bit_flips)] if weighted else []
    for change, index in [*chosen, *((change, index) for change in others for index in weighted)]:
        mutant = _read(content)
        tensor = mutant.subgraphs[0].tensors[index]
        changed = change.apply(_weights(mutant, tensor), rng)
        if changed is not None:
            mutant.buffers[tensor.buffer].data = np.ascontiguousarray(changed).reshape(-1).view(np.uint8)
            yield Mutation(kind=change.kind, where=_name(tensor), content=_write(mutant))
    yield from _operator_faults(content)
    yield from _scale_faults(content, rng)
    yield from _interface_faults(content)


def _operator_faults(content: bytes) -> Iterator[Mutation]:
    model = _read(content)
    for index, code in enumerate(model.operatorCodes):
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        if builtin in _OTHER_OPERATORS:
            mutant = _read(content)
            changed = mutant.operatorCodes[index]
            changed.builtinCode = changed.deprecatedBuiltinCode = _OTHER_OPERATORS[builtin]
            yield Mutation(kind="wrong activation", where=f"operator code {index}", content=_write(mutant))
    for index, operator in enumerate(model.subgraphs[0].operators):
        fused = getattr(operator.builtinOptions, "fusedActivationFunction", None)
        if fused in _OTHER_ACTIVATIONS:
            mutant = _read(content)
            mutant.subgraphs[0].operators[index].builtinOptions.fusedActivationFunction = _OTHER_ACTIVATIONS[fused]
            yield Mutation(kind="wrong activation", where=f"operator {index}", content=_write(mutant))


def _scale_faults(content: bytes, rng: np.random.Generator) -> Iterator[Mutation]:
    """Yields quantized tensors with another scale or zero point than the one they were computed with."""
    for index, tensor in enumerate(_read(content).subgraphs[0].tensors):
        scales = tensor.quantization.scale if tensor.quantization is not None else None
        if scales is None or len(scales) != 1:
            continue
        mutant = _read(content)
        quantization = mutant.subgraphs[0].tensors[index].quantization
        quantization.scale = [float(scales[0]) * (1 + float(rng.uniform(0.01, 0.2)))]
        yield Mutation(kind="wrong scale", where=_name(tensor), content=_write(mutant))


def _interface_faults(content: bytes) -> Iterator[Mutation]:
    outputs = _read(content).signatureDefs[0].outputs
    for index, output in enumerate(outputs):
        if len(outputs) > 1:
            mutant = _read(content)
            del mutant.signatureDefs[0].outputs[index]
            yield Mutation(kind="missing output", where=output.name.decode(), content=_write(mutant))


def _read(content: bytes) -> Any:
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def _write(model: Any) -> bytes:
    from ai_edge_litert.tools import flatbuffer_utils

    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _weighted(model: Any) -> list[int]:
    return [
        index
        for index, tensor in enumerate(model.subgraphs[0].tensors)
        if tensor.type in _TYPES
        and model.buffers[tensor.buffer].data is not None
        and _weights(model, tensor).size >= _FEWEST_WEIGHTS
    ]


def _weights(model: Any, tensor: Any) -> Weights:
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    values: Weights = data.view(_TYPES[tensor.type])
    shape = tuple(int(size) for size in tensor.shape) if tensor.shape is not None else ()
    return values.reshape(shape) if values.size == int(np.prod(shape)) else values


def _name(tensor: Any) -> str:
    return str(tensor.name.decode())
