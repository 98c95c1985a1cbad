"""The operators of a TFLite file, with the types and shapes of what they read and write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pocketvae.formats.tflite.model import dtype_name, is_constant, operator_name, tensor_shape, view_model


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor that an operator reads or writes.

    Attributes:
        dtype: Lower-case name in the TFLite schema, such as `float32`.
        shape: As stored.
        is_constant: Whether the file holds its values.
        scales: How many scales it is quantized with: one, or one for each channel; 0 where it is not.
    """

    dtype: str
    shape: tuple[int, ...]
    is_constant: bool
    scales: int = 0


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator of a subgraph.

    Attributes:
        name: In the TFLite schema, such as `CONV_2D`; that of a custom operator is its own.
        version: Of its definition; later ones take more types or options.
        inputs: Tensors that are read; optional ones that are missing are left out.
        outputs: Tensors that are written.
        input_indices: Positions of `inputs` in the file.
        output_indices: Positions of `outputs` in the file.
    """

    name: str
    version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    input_indices: tuple[int, ...]
    output_indices: tuple[int, ...]


def read_operators(content: bytes) -> tuple[tuple[Operator, ...], ...]:
    """Returns the operators of a TFLite file in their order, for each of its subgraphs; the first is the main one.

    Raises:
        ManifestError: the file is damaged.
        TargetError: ai-edge-litert is not installed.
    """
    return operators_of(view_model(content))


def operators_of(model: Any) -> tuple[tuple[Operator, ...], ...]:
    """Returns the same of a model that is read already."""
    return tuple(tuple(_operator(model, graph, item) for item in graph.operators) for graph in model.subgraphs)


def _operator(model: Any, graph: Any, operator: Any) -> Operator:
    inputs = [int(index) for index in operator.inputs if index >= 0]
    outputs = [int(index) for index in operator.outputs]
    return Operator(
        name=operator_name(model, operator),
        version=model.operatorCodes[operator.opcodeIndex].version,
        inputs=tuple(_tensor(model, graph.tensors[index]) for index in inputs),
        outputs=tuple(_tensor(model, graph.tensors[index]) for index in outputs),
        input_indices=tuple(inputs),
        output_indices=tuple(outputs),
    )


def _tensor(model: Any, tensor: Any) -> Tensor:
    found = tensor.quantization.scale if tensor.quantization is not None else None
    return Tensor(
        dtype=dtype_name(tensor),
        shape=tensor_shape(tensor),
        is_constant=is_constant(model, tensor),
        scales=0 if found is None else len(found),
    )
