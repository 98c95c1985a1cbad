"""Faults in TFLite files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mutations.mutation import Mutation, Weights, weight_changes
from pocketvae.formats.tflite.model import (
    code_name,
    constant,
    dtype_name,
    is_constant,
    read_model,
    schema,
    tensor_name,
    tensor_shape,
    write_model,
)

# Kernels are [out, height, width, in].
_SPATIAL_AXES = (1, 2)
_FEWEST_WEIGHTS = 16
# Types that hold weights.
_TYPES = ("float32", "float16", "uint8", "int8", "int16")
_OTHER_OPERATORS = {"LOGISTIC": "TANH", "RELU": "RELU6", "TANH": "LOGISTIC"}
_OTHER_ACTIVATIONS = {"NONE": "RELU", "RELU": "NONE", "RELU6": "RELU"}


def tflite_mutations(content: bytes, rng: np.random.Generator, *, bit_flips: int) -> Iterator[Mutation]:
    """Yields faults of every kind that the file has a place for; see `onnx_mutations`."""
    weighted = _weighted(read_model(content))
    flip, *others = weight_changes(_SPATIAL_AXES)
    chosen = [(flip, int(index)) for index in rng.choice(weighted, bit_flips)] if weighted else []
    for change, index in [*chosen, *((change, index) for change in others for index in weighted)]:
        mutant = read_model(content)
        tensor = mutant.subgraphs[0].tensors[index]
        changed = change.apply(_weights(mutant, tensor), rng)
        if changed is not None:
            mutant.buffers[tensor.buffer].data = np.ascontiguousarray(changed).reshape(-1).view(np.uint8)
            yield Mutation(kind=change.kind, where=tensor_name(tensor), content=write_model(mutant))
    yield from _operator_faults(content)
    yield from _scale_faults(content, rng)
    yield from _interface_faults(content)


def _operator_faults(content: bytes) -> Iterator[Mutation]:
    model = read_model(content)
    for index, code in enumerate(model.operatorCodes):
        other = _OTHER_OPERATORS.get(code_name(code))
        if other is not None:
            mutant = read_model(content)
            changed = mutant.operatorCodes[index]
            changed.builtinCode = changed.deprecatedBuiltinCode = getattr(schema().BuiltinOperator, other)
            yield Mutation(kind="wrong activation", where=f"operator code {index}", content=write_model(mutant))
    numbers = schema().ActivationFunctionType
    others = {getattr(numbers, name): getattr(numbers, other) for name, other in _OTHER_ACTIVATIONS.items()}
    for index, operator in enumerate(model.subgraphs[0].operators):
        fused = getattr(operator.builtinOptions, "fusedActivationFunction", None)
        if fused in others:
            mutant = read_model(content)
            mutant.subgraphs[0].operators[index].builtinOptions.fusedActivationFunction = others[fused]
            yield Mutation(kind="wrong activation", where=f"operator {index}", content=write_model(mutant))


def _scale_faults(content: bytes, rng: np.random.Generator) -> Iterator[Mutation]:
    """Yields quantized tensors with another scale or zero point than the one they were computed with."""
    for index, tensor in enumerate(read_model(content).subgraphs[0].tensors):
        scales = tensor.quantization.scale if tensor.quantization is not None else None
        if scales is None or len(scales) != 1:
            continue
        mutant = read_model(content)
        quantization = mutant.subgraphs[0].tensors[index].quantization
        quantization.scale = [float(scales[0]) * (1 + float(rng.uniform(0.01, 0.2)))]
        yield Mutation(kind="wrong scale", where=tensor_name(tensor), content=write_model(mutant))


def _interface_faults(content: bytes) -> Iterator[Mutation]:
    outputs = read_model(content).signatureDefs[0].outputs
    for index, output in enumerate(outputs):
        if len(outputs) > 1:
            mutant = read_model(content)
            del mutant.signatureDefs[0].outputs[index]
            yield Mutation(kind="missing output", where=output.name.decode(), content=write_model(mutant))


def _weighted(model: Any) -> list[int]:
    return [
        index
        for index, tensor in enumerate(model.subgraphs[0].tensors)
        if dtype_name(tensor) in _TYPES
        and is_constant(model, tensor)
        and _weights(model, tensor).size >= _FEWEST_WEIGHTS
    ]


def _weights(model: Any, tensor: Any) -> Weights:
    values: Weights = np.asarray(constant(model, tensor), np.uint8).view(dtype_name(tensor))
    shape = tensor_shape(tensor)
    return values.reshape(shape) if values.size == int(np.prod(shape)) else values
