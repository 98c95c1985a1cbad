"""Merging of two exported files: outputs of the first become inputs of the second, and inputs of one name are one.

Outputs of the first that the result keeps can become inputs of a third file.

Weights and operators are copied as they are, so the second file's part of the result computes the same as before,
quantized or not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from pocketvae.errors import ExportError
from pocketvae.export.convert.noise_onnx import OPSET
from pocketvae.export.convert.onnx import serialize
from pocketvae.export.convert.operators import STANDARD_DOMAINS
from pocketvae.formats.onnx.model import load_model
from pocketvae.formats.tflite.editing import minimum_version, set_minimum_version
from pocketvae.formats.tflite.model import main_signature, read_model, signature_tensors, tensor_shape, write_model
from pocketvae.spec import Format

# Of the names of the first file's parts, unless another is given.
_PREFIX = "latent/"
# A name in both files, or an output of the first and the input of the second that it becomes.
Joint: TypeAlias = str | tuple[str, str]


def merge(
    format: Format, first: bytes, second: bytes, *tensors: Joint, keep: Sequence[str] = (), prefix: str = _PREFIX
) -> bytes:
    """Merges two files of one format, see `merge_tflite` and `merge_onnx`."""
    if format is Format.TFLITE:
        return merge_tflite(first, second, *tensors, keep=keep)
    return merge_onnx(first, second, *tensors, keep=keep, prefix=prefix)


def _pairs(tensors: Sequence[Joint]) -> list[tuple[str, str]]:
    return [(item, item) if isinstance(item, str) else item for item in tensors]


def merge_tflite(first: bytes, second: bytes, *tensors: Joint, keep: Sequence[str] = ()) -> bytes:
    """Merges two TFLite files of one signature each.

    Args:
        first: Has the outputs `tensors`.
        second: Has the inputs `tensors`, of the same shapes and types.
        tensors: Names in the signatures.
        keep: Outputs of the first that the result has too.

    Raises:
        ExportError: the files are not compatible.
    """
    model, other = (read_model(content) for content in (first, second))
    graph, added = model.subgraphs[0], other.subgraphs[0]
    pairs = _pairs(tensors)
    sources = [_merged_tensor(main_signature(model).outputs, name) for name, _ in pairs]
    targets = [_merged_tensor(main_signature(other).inputs, name) for _, name in pairs]
    kept = [(name, _merged_tensor(main_signature(model).outputs, name)) for name in keep]
    both = [entries.inputs for entries in map(main_signature, (model, other))]
    names = [name for _, name in pairs]
    for name in sorted(set(signature_tensors(both[0])) & set(signature_tensors(both[1])) - set(names)):
        names.append(name)
        sources.append(signature_tensors(both[0])[name])
        targets.append(signature_tensors(both[1])[name])
    for source, target, name in zip(sources, targets, names, strict=True):
        _check_fit(graph.tensors[source], added.tensors[target], name)
    version = max(minimum_version(model), minimum_version(other), key=_version_key)

    offsets = _Offsets(model, dict(zip(targets, sources, strict=True)))
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
    _add_bodies(model, other, offsets)
    _merge_interface(model, other, offsets, kept)
    set_minimum_version(model, version)
    return write_model(model)


def _add_bodies(model: Any, other: Any, offsets: _Offsets) -> None:
    """Adds the second file's other subgraphs, the bodies of its loops and branches, and numbers them anew."""
    moved = len(model.subgraphs) - 1
    for body in other.subgraphs[1:]:
        for item in body.tensors:
            item.buffer += offsets.buffers
        for item in body.operators:
            item.opcodeIndex += offsets.opcodes
        model.subgraphs.append(body)
    for item in [operator for body in other.subgraphs for operator in body.operators]:
        for field in vars(item.builtinOptions) if item.builtinOptions is not None else ():
            if field.endswith("SubgraphIndex"):
                setattr(item.builtinOptions, field, getattr(item.builtinOptions, field) + moved)


class _Offsets:
    """Positions of the second file's parts in the lists of the first."""

    def __init__(self, model: Any, merged: Mapping[int, int]) -> None:
        self.buffers = len(model.buffers)
        self.opcodes = len(model.operatorCodes)
        self._tensors = len(model.subgraphs[0].tensors)
        self._merged = merged

    def tensor(self, index: int) -> int:
        """Returns the new position of a tensor; a merged one is the first file's, and -1 stands for none."""
        if index in self._merged:
            return self._merged[index]
        return index + self._tensors if index >= 0 else index


def _merged_tensor(entries: Sequence[Any], name: str) -> int:
    tensors = signature_tensors(entries)
    if name not in tensors:
        raise ExportError(f"two files are merged at {name!r}, but one has {', '.join(tensors)}")
    return tensors[name]


def _check_fit(output: Any, target: Any, name: str) -> None:
    shapes = [list(tensor_shape(tensor)) for tensor in (output, target)]
    if shapes[0] != shapes[1] or output.type != target.type:
        raise ExportError(f"two files are merged at {name!r}, which must be the same in both, got {shapes}")


def _merge_interface(model: Any, other: Any, offsets: _Offsets, kept: Sequence[tuple[str, int]]) -> None:
    """Leaves merged tensors out of the interface: the inputs of both are left, and the outputs of the second.

    Outputs of the first that are kept come last.
    """
    graph, added = model.subgraphs[0], other.subgraphs[0]
    signature, more = main_signature(model), main_signature(other)
    for entry in (*more.inputs, *more.outputs):
        entry.tensorIndex = offsets.tensor(entry.tensorIndex)
    merged = {entry.tensorIndex for entry in (*signature.outputs, *signature.inputs)}
    signature.inputs += [entry for entry in more.inputs if entry.tensorIndex not in merged]
    own = {entry.name.decode(): entry for entry in signature.outputs}
    signature.outputs = [*more.outputs, *(own[name] for name, _ in kept)]
    inputs = [offsets.tensor(index) for index in added.inputs]
    graph.inputs = [*graph.inputs, *(index for index in inputs if index not in merged)]
    graph.outputs = [*(offsets.tensor(index) for index in added.outputs), *(index for _, index in kept)]


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def merge_onnx(first: bytes, second: bytes, *tensors: Joint, keep: Sequence[str] = (), prefix: str = _PREFIX) -> bytes:
    """Merges two ONNX files, both raised to operator set 18, or to a newer one that one of them has.

    Args:
        first: Has the outputs `tensors`.
        second: Has the inputs `tensors`.
        tensors: Names in both.
        keep: Outputs of the first that the result has too.
        prefix: Of the names of the first file's parts.

    Raises:
        ExportError: the files are not compatible.
    """
    import onnx

    models = [load_model(content) for content in (first, second)]
    newest = max(OPSET, *map(_opset, models))
    models = [_raise_opset(model, newest) for model in models]
    # Merging wants one version of the file format.
    version = max(model.ir_version for model in models)
    for model in models:
        model.ir_version = version
    # Both may come from one converter, which gives the same names to the parts of every file.
    part = onnx.compose.add_prefix(models[0], prefix, rename_inputs=False, rename_outputs=False)
    both, joined = _inputs(part) & _inputs(models[1]), {name for _, name in _pairs(tensors)}
    shared, free = both - joined, both & joined
    _rename_inputs(part, {name: f"{prefix}{name}" for name in both})
    try:
        # Without a list of them, the outputs of the first that become no input stay outputs.
        outputs = [*(value.name for value in models[1].graph.output), *keep]
        merged = onnx.compose.merge_models(part, models[1], io_map=_pairs(tensors), outputs=outputs)
        onnx.checker.check_model(merged, full_check=True)
    except (ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as e:
        names = ", ".join(repr(name) for name, _ in _pairs(tensors))
        raise ExportError(f"two files cannot be merged at {names}: {str(e).strip().splitlines()[0][:200]}") from e
    _unite_inputs(merged, shared, prefix)
    # The second has no such input any more.
    _rename_inputs(merged, {f"{prefix}{name}": name for name in free})
    merged.producer_name, merged.producer_version = models[1].producer_name, models[1].producer_version
    del merged.opset_import[1:]
    merged.graph.name = models[1].graph.name
    return serialize(merged)


def _inputs(model: Any) -> set[str]:
    return {item.name for item in model.graph.input}


def _rename_inputs(model: Any, names: Mapping[str, str]) -> None:
    for item in model.graph.input:
        item.name = names.get(item.name, item.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _unite_inputs(model: Any, shared: Collection[str], prefix: str) -> None:
    """Makes inputs that both files have one, which had to have two names to be merged."""
    names = {f"{prefix}{name}": name for name in shared}
    for item in [item for item in model.graph.input if item.name in names]:
        model.graph.input.remove(item)
    _rename_inputs(model, names)


def _opset(model: Any) -> int:
    return max(int(entry.version) for entry in model.opset_import if entry.domain in STANDARD_DOMAINS)


def _raise_opset(model: Any, opset: int) -> Any:
    from onnx import helper, version_converter

    raised = model if _opset(model) >= opset else version_converter.convert_version(model, opset)
    # Tools leave entries of domains that no node belongs to, and merging repeats them.
    del raised.opset_import[:]
    raised.opset_import.append(helper.make_opsetid("", opset))
    raised.ir_version = max(model.ir_version, 8)
    return raised
