"""A model repository as Triton reads it, and KServe with it: the bundle's ONNX files, each with its configuration."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError
from pocketvae.reporting.templates import render
from pocketvae.spec import Component, Format, TensorSpec
from pocketvae.system.files import check_output, write_bytes, write_text
from pocketvae.system.folders import staged_directory
from pocketvae.system.written import check_untouched, file_hashes, recorded_hashes

_README, _RECORD = "README.md", "pocketvae-models.json"
# The configuration that Triton reads: its types by those of a tensor.
_TYPES = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "int8": "TYPE_INT8",
    "uint8": "TYPE_UINT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
}


def write_triton(bundle: Bundle, folder: Path, *, force: bool = False) -> tuple[str, ...]:
    """Writes a model repository into a new folder: `MODEL/config.pbtxt`, `MODEL/1/model.onnx` and a README.

    Args:
        bundle: Whose ONNX files are served, as they are.
        folder: Appears when it is complete.
        force: Replace a folder that exists.

    Returns:
        The names of the models.

    Raises:
        OutputExistsError: the folder exists and `force` is off, or it holds something else; see `check_triton`.
        SpecError: the bundle has no ONNX file.
    """
    check_triton(folder, force=force)
    artifacts = [item for item in bundle.manifest.artifacts if item.format is Format.ONNX]
    if not artifacts:
        raise SpecError(f"the bundle has no ONNX file, which Triton serves: {_remedy(bundle)}")
    names = tuple(map(model_name, artifacts))
    page = render("pocketvae.export.guide", "triton.md.j2", _values(bundle, artifacts))
    hashes = file_hashes({_README: page})
    with staged_directory(folder, force=force) as staging:
        for artifact, name in zip(artifacts, names, strict=True):
            config, model = _files_of(name)
            text, content = configuration(artifact), bundle.artifact_path(artifact).read_bytes()
            (staging / model).parent.mkdir(parents=True)
            write_text(staging / config, text)
            write_bytes(staging / model, content)
            hashes |= file_hashes({config: text, model: content})
        write_text(staging / _README, page)
        # The server reads folders alone.
        record = {"bundle": bundle.manifest.name, "models": sorted(names), "files": hashes}
        write_text(staging / _RECORD, json.dumps(record, indent=2, sort_keys=True) + "\n")
    return names


def _remedy(bundle: Bundle) -> str:
    asked = [item for item in bundle.manifest.failures if item.artifact.endswith(f".{Format.ONNX}")]
    if not asked:
        return "export with --formats onnx as well"
    return f"none could be made, {asked[0].artifact} because {asked[0].reason}"


def _files_of(model: str) -> tuple[str, str]:
    """Returns the paths of a model's files."""
    return f"{model}/config.pbtxt", f"{model}/1/model.onnx"


def check_triton(folder: Path, *, force: bool) -> None:
    """Checks, before any work, that a model repository can be written to a folder.

    A repository is a place where people add models and versions of their own and change how a model is served; these
    are not replaced.

    Raises:
        OutputExistsError: it exists and `force` is off, or it holds what `write_triton` did not write, or not so.
        DataError: the folder above it does not exist.
    """
    check_output(folder, force=force)
    check_untouched(folder, {**_older(folder), **recorded_hashes(folder, _RECORD)})


def _older(folder: Path) -> dict[str, str]:
    """Returns what a repository of a version before hashes holds, which nobody can tell to be unchanged."""
    try:
        models = list(map(str, json.loads((folder / _RECORD).read_bytes())["models"]))
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return dict.fromkeys([_README, *(path for model in models for path in _files_of(model))], "")


def model_name(artifact: ArtifactRecord) -> str:
    """Returns the model's name, which is also its folder's: `decoder_int8`."""
    return artifact.name.removesuffix(".onnx").replace(".", "_")


def configuration(artifact: ArtifactRecord) -> str:
    """Returns `config.pbtxt`, a `ModelConfig` of Triton in protobuf's text format."""
    most, batched = max(artifact.batches), _is_batched(artifact)
    lines = [
        f"name: {json.dumps(model_name(artifact))}",
        'platform: "onnxruntime_onnx"',
        # 0: requests carry the batch themselves, which a file of one batch size needs.
        f"max_batch_size: {most if batched else 0}",
        *_tensors("input", artifact.inputs, batched=batched),
        *_tensors("output", artifact.outputs, batched=batched),
    ]
    if batched:
        sizes = ", ".join(str(size) for size in artifact.batches if size > 1)
        lines.append(f"dynamic_batching {{ preferred_batch_size: [{sizes}] }}")
    return "\n".join(lines) + "\n"


def _tensors(field: str, tensors: tuple[TensorSpec, ...], *, batched: bool) -> Iterator[str]:
    for tensor in tensors:
        shape = ", ".join(map(str, _sizes(tensor, batched=batched)))
        reshape = " reshape { shape: [] }" if batched and len(tensor.shape) == 1 else ""
        kind = f"name: {json.dumps(tensor.name)} data_type: {_TYPES[tensor.dtype]}"
        yield f"{field} {{ {kind} dims: [{shape}]{reshape} }}"


def _is_batched(artifact: ArtifactRecord) -> bool:
    return max(artifact.batches) > 1


def _sizes(tensor: TensorSpec, *, batched: bool) -> tuple[int, ...]:
    """Returns the sizes that a client sends, without the batch where the server makes one of several requests."""
    # One number an item, such as a label, has no size left beside the batch, and the server asks for one.
    return (tensor.shape[1:] or (1,)) if batched else tensor.shape


def _values(bundle: Bundle, artifacts: list[ArtifactRecord]) -> dict[str, object]:
    """Returns what the README says: the models, and a request of zeros to the first of them."""
    wanted = (Component.GENERATOR, Component.DECODER, Component.SCORER)
    ranks = {component: rank for rank, component in enumerate(wanted)}
    shown = min(artifacts, key=lambda item: ranks.get(item.component, len(wanted)))
    batched = _is_batched(shown)
    inputs = [
        {
            "name": tensor.name,
            "shape": [*([1] if batched else []), *_sizes(tensor, batched=batched)],
            "datatype": _TYPES[tensor.dtype].removeprefix("TYPE_"),
            "data": [0] * math.prod(tensor.shape),
        }
        for tensor in shown.inputs
    ]
    return {
        "name": bundle.manifest.name,
        "models": [(model_name(item), item) for item in artifacts],
        "model": model_name(shown),
        "request": json.dumps({"inputs": inputs}),
        "licence": bundle.manifest.licence,
    }
