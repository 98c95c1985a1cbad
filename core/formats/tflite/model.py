"""A TFLite file as objects of LiteRT's own schema: reading with checks, writing, names of types and operators."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ManifestError, missing_package
from pocketvae.formats.damage import refusing_damage
from pocketvae.formats.tflite.check import check_model
from pocketvae.formats.tflite.metadata import root_table

_FILE = "the TFLite file"


def schema() -> Any:
    """Returns LiteRT's schema module.

    Raises:
        TargetError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as e:
        raise missing_package("ai-edge-litert", "run") from e
    return schema_py_generated


def read_model(content: bytes) -> Any:
    """Reads a file into a `ModelT` whose lists are lists and whose numbers point at what is there.

    Weights are views of `content`; everything else may be changed.

    Raises:
        ManifestError: it is not a TFLite file, or is damaged.
        TargetError: ai-edge-litert is not installed.
    """
    schema()
    from ai_edge_litert.tools import flatbuffer_utils

    root_table(content)
    with refusing_damage(_FILE, "operators"):
        model = flatbuffer_utils.read_model_from_bytearray(content)
        check_model(model, _names("TensorType"))
    return model


@lru_cache(maxsize=2)
def view_model(content: bytes) -> Any:
    """Returns what `read_model` does, for callers that change nothing: one who asks for the same file next shares it.

    What is found out about a file is found by several modules in turn, and reading it takes most of their time. A
    search looks at the file that it quantizes and at what comes out, so two are kept.

    Raises:
        ManifestError: see `read_model`.
        TargetError: see `read_model`.
    """
    return read_model(content)


def write_model(model: Any) -> bytes:
    """Returns the file of a model."""
    from ai_edge_litert.tools import flatbuffer_utils

    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def operator_name(model: Any, operator: Any) -> str:
    """Returns an operator's name in the schema, such as `CONV_2D`; that of a custom operator is its own."""
    return code_name(model.operatorCodes[operator.opcodeIndex])


def code_name(code: Any) -> str:
    """Returns the name of an entry of the model's list of operators."""
    if is_custom(code):
        return (code.customCode or b"").decode("utf-8", errors="replace")
    number = builtin_code(code)
    return _names("BuiltinOperator").get(number, f"operator {number}")


def is_custom(code: Any) -> bool:
    """Whether an entry of the model's list of operators is not built into the runtime."""
    return builtin_code(code) == int(schema().BuiltinOperator.CUSTOM)


def builtin_code(code: Any) -> int:
    """Returns an operator's number in the schema."""
    # Old files have it in a field of one byte, which stopped being enough.
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def dtype_name(tensor: Any) -> str:
    """Returns a tensor's type, such as `float32`."""
    return _names("TensorType")[tensor.type].lower()


def tensor_type(dtype: str) -> int:
    """Returns the schema's number of a type such as `float32`."""
    return int(getattr(schema().TensorType, dtype.upper()))


def tensor_name(tensor: Any) -> str:
    """Returns a tensor's name."""
    return str(tensor.name.decode())


def tensor_shape(tensor: Any) -> tuple[int, ...]:
    """Returns a tensor's shape as stored."""
    return tuple(int(size) for size in tensor.shape) if tensor.shape is not None else ()


def constant(model: Any, tensor: Any) -> npt.NDArray[np.uint8] | None:
    """Returns the bytes of a constant tensor; None for one that is computed, whose buffer is empty."""
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0:
        return None
    # Bytes where the file stores them behind its tables, as litert-quantizer does.
    return np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.asarray(data, np.uint8)


def is_quantized(tensor: Any) -> bool:
    """Whether a tensor's integers stand for real numbers."""
    parameters = tensor.quantization
    return parameters is not None and parameters.scale is not None and len(parameters.scale) > 0


def is_constant(model: Any, tensor: Any) -> bool:
    """Whether the file holds a tensor's values."""
    return constant(model, tensor) is not None


def main_signature(model: Any) -> Any:
    """Returns the signature of the main graph.

    Raises:
        ManifestError: there is none.
    """
    found = next((item for item in model.signatureDefs or () if item.subgraphIndex == 0), None)
    if found is None:
        raise ManifestError("the TFLite file has no signature, which names its inputs and outputs")
    return found


def main_inputs(model: Any) -> dict[str, int]:
    """Returns the numbers of the main graph's inputs, by name: the signature's, without one the tensors' own."""
    graph = model.subgraphs[0]
    if not model.signatureDefs:
        return {tensor_name(graph.tensors[index]): index for index in graph.inputs}
    return signature_tensors(main_signature(model).inputs)


def signature_tensors(entries: Sequence[Any]) -> dict[str, int]:
    """Returns the numbers of a signature's inputs or outputs, by name."""
    return {entry.name.decode(): int(entry.tensorIndex) for entry in entries}


def signature_places(entries: Sequence[Any], order: Any) -> dict[str, int]:
    """Returns where a graph lists a signature's inputs or outputs, by name; those that it does not list are left out.

    Args:
        entries: The signature's inputs or outputs.
        order: The numbers of the graph's, as it lists them.
    """
    listed = [int(number) for number in order]
    return {name: listed.index(number) for name, number in signature_tensors(entries).items() if number in listed}


@cache
def _names(enumeration: str) -> dict[int, str]:
    return {value: name for name, value in vars(getattr(schema(), enumeration)).items() if isinstance(value, int)}
