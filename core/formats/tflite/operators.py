"""The operators of a TFLite file, with the types and shapes of what they read and write."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from pocketvae.errors import ManifestError, missing_package
from pocketvae.formats.tflite.metadata import root_table


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor that an operator reads or writes.

    Attributes:
        dtype: Lower-case name in the TFLite schema, such as `float32`.
        shape: As stored.
        is_constant: Whether the file holds its values.
    """

    dtype: str
    shape: tuple[int, ...]
    is_constant: bool


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
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as e:
        raise missing_package("ai-edge-litert", "run") from e
    root_table(content)
    try:
        model = schema.Model.GetRootAs(content)
        graphs = [model.Subgraphs(number) for number in range(model.SubgraphsLength())]
        return tuple(
            tuple(_operator(model, graph, graph.Operators(index)) for index in range(graph.OperatorsLength()))
            for graph in graphs
        )
    # The generated readers check nothing: whatever a damaged file makes them do, it is the file's fault.
    except Exception as e:
        raise ManifestError(f"the TFLite file is damaged: its operators cannot be read ({type(e).__name__})") from e


def _operator(model: Any, graph: Any, operator: Any) -> Operator:
    code = model.OperatorCodes(operator.OpcodeIndex())
    inputs = [operator.Inputs(index) for index in range(operator.InputsLength())]
    inputs = [index for index in inputs if index >= 0]
    outputs = [operator.Outputs(index) for index in range(operator.OutputsLength())]
    return Operator(
        name=_name(code),
        version=code.Version(),
        inputs=tuple(_tensor(model, graph.Tensors(index)) for index in inputs),
        outputs=tuple(_tensor(model, graph.Tensors(index)) for index in outputs),
        input_indices=tuple(inputs),
        output_indices=tuple(outputs),
    )


def _name(code: Any) -> str:
    # Old files have the number in a field of one byte, which stopped being enough.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _names("BuiltinOperator").get(number, f"operator {number}")
    return code.CustomCode().decode("utf-8", errors="replace") if name == "CUSTOM" else name


def _tensor(model: Any, tensor: Any) -> Tensor:
    return Tensor(
        dtype=_names("TensorType")[tensor.Type()].lower(),
        shape=tuple(int(tensor.Shape(index)) for index in range(tensor.ShapeLength())),
        is_constant=model.Buffers(tensor.Buffer()).DataLength() > 0,
    )


@cache
def _names(enumeration: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(getattr(schema, enumeration)).items() if isinstance(value, int)}
