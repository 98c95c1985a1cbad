"""Merging of two exported files: the output of the first becomes the input of the second.

Weights and operators are copied as they are, so the second file's part of the result computes the same as before,
quantized or not.
"""

from __future__ import annotations

from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.convert.noise_onnx import OPSET
from pocketvae.export.convert.onnx import serialize
from pocketvae.export.convert.operators import STANDARD_DOMAINS
from pocketvae.spec import Format

_MINIMUM_VERSION = "min_runtime_version"


def merge(format: Format, first: bytes, second: bytes, tensor: str) -> bytes:
    """Merges two files of one format, see `merge_tflite` and `merge_onnx`."""
    return (merge_tflite if format is Format.TFLITE else merge_onnx)(first, second, tensor)


def merge_tflite(first: bytes, second: bytes, tensor: str) -> bytes:
    """Merges two TFLite files of one subgraph and one signature each.

    Args:
        first: Has the output `tensor`.
        second: Has the input `tensor`, of the same shape and type.
        tensor: Name in the signatures.

    Raises:
        ExportError: the files are not compatible.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model, other = (flatbuffer_utils.read_model_from_bytearray(content) for content in (first, second))
    graph, added = model.subgraphs[0], other.subgraphs[0]
    source = _signature_index(model.signatureDefs[0].outputs, tensor)
    target = _signature_index(other.signatureDefs[0].inputs, tensor)
    _check_fit(graph.tensors[source], added.tensors[target], tensor)
    version = max(_minimum_version(model), _minimum_version(other), key=_version_key)

    offsets = _Offsets(model, source=source, target=target)
    for item in added.tensors:
        item.buffer += offsets.buffers
    for item in added.operators:
        item.opcodeIndex += offsets.opcodes
        for field in ("inputs", "outputs", "intermediates"):
            if getattr(item, field) is not None:
                setattr(item, field, [offsets.tensor(index) for index in getattr(item, field)])
    model.buffers += other.buffers
    model.operatorCodes += other.operatorCodes
    graph.tensors += added.tensors
    graph.operators += added.operators
    _join_interface(model, other, offsets)
    _set_minimum_version(model, version)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


class _Offsets:
    """Positions of the second file's parts in the lists of the first."""

    def __init__(self, model: Any, *, source: int, target: int) -> None:
        self.buffers = len(model.buffers)
        self.opcodes = len(model.operatorCodes)
        self._tensors = len(model.subgraphs[0].tensors)
        self._source, self._target = source, target

    def tensor(self, index: int) -> int:
        """Returns the new position of a tensor; the joined one is the first file's, and -1 stands for none."""
        if index == self._target:
            return self._source
        return index + self._tensors if index >= 0 else index


def _signature_index(tensors: Any, name: str) -> int:
    for entry in tensors:
        if entry.name.decode() == name:
            return int(entry.tensorIndex)
    names = ", ".join(entry.name.decode() for entry in tensors)
    raise ExportError(f"two files are merged at {name!r}, but one has {names}")


def _check_fit(output: Any, target: Any, name: str) -> None:
    shapes = [list(tensor.shape) for tensor in (output, target)]
    if shapes[0] != shapes[1] or output.type != target.type:
        raise ExportError(f"two files are merged at {name!r}, which must be the same in both, got {shapes}")


def _join_interface(model: Any, other: Any, offsets: _Offsets) -> None:
    """Leaves the joined tensor out of the interface: the inputs of both are left, and the outputs of the second."""
    graph, added = model.subgraphs[0], other.subgraphs[0]
    signature, more = model.signatureDefs[0], other.signatureDefs[0]
    for entry in (*more.inputs, *more.outputs):
        entry.tensorIndex = offsets.tensor(entry.tensorIndex)
    joined = {entry.tensorIndex for entry in signature.outputs}
    signature.inputs += [entry for entry in more.inputs if entry.tensorIndex not in joined]
    signature.outputs = more.outputs
    inputs = [offsets.tensor(index) for index in added.inputs]
    graph.inputs = [*graph.inputs, *(index for index in inputs if index not in joined)]
    graph.outputs = [offsets.tensor(index) for index in added.outputs]


def _metadata(model: Any) -> dict[str, Any]:
    return {entry.name.decode(): model.buffers[entry.buffer] for entry in model.metadata or ()}


def _minimum_version(model: Any) -> str:
    """Returns the oldest runtime that supports the file's operators, as noted by the converter; may be empty."""
    buffer = _metadata(model).get(_MINIMUM_VERSION)
    return bytes(buffer.data).split(b"\0")[0].decode() if buffer is not None else ""


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _set_minimum_version(model: Any, version: str) -> None:
    buffer = _metadata(model).get(_MINIMUM_VERSION)
    if buffer is not None:
        buffer.data = list(version.encode().ljust(16, b"\0"))


def merge_onnx(first: bytes, second: bytes, tensor: str) -> bytes:
    """Merges two ONNX files, both raised to operator set 18.

    Args:
        first: Has the output `tensor`.
        second: Has the input `tensor`.
        tensor: Name in both.

    Raises:
        ExportError: the files are not compatible.
    """
    import onnx

    models = [_raise_opset(onnx.load_from_string(content)) for content in (first, second)]
    # Both may come from one converter, which gives the same names to the parts of every file.
    part = onnx.compose.add_prefix(models[0], "latent/", rename_inputs=False, rename_outputs=False)
    try:
        joined = onnx.compose.merge_models(part, models[1], io_map=[(tensor, tensor)])
        onnx.checker.check_model(joined, full_check=True)
    except (ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as e:
        raise ExportError(f"two files cannot be merged at {tensor!r}: {str(e).strip().splitlines()[0][:200]}") from e
    joined.producer_name, joined.producer_version = models[1].producer_name, models[1].producer_version
    del joined.opset_import[1:]
    joined.graph.name = models[1].graph.name
    return serialize(joined)


def _raise_opset(model: Any) -> Any:
    from onnx import helper, version_converter

    current = max(entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS)
    raised = model if current >= OPSET else version_converter.convert_version(model, OPSET)
    # Tools leave entries of domains that no node belongs to, and merging repeats them.
    del raised.opset_import[:]
    raised.opset_import.append(helper.make_opsetid("", max(current, OPSET)))
    raised.ir_version = max(model.ir_version, 8)
    return raised
