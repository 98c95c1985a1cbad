"""Reading of ONNX files that other programs wrote: with their external weights, and nothing else of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError, ManifestError, missing_package
from pocketvae.formats.onnx.model import load_model
from pocketvae.parsing import shortened

STANDARD_DOMAINS = ("", "ai.onnx")
_CONTROL = ("If", "Loop", "Scan")
_MICROSOFT = "com.microsoft"
_EXPORT = "torch.onnx.export(model.eval(), (example,), FILE)"


def read(path: Path) -> Any:
    """Returns a file as a `ModelProto` with its external weights inside and its functions inlined.

    Raises:
        ExportError: it is damaged, refers to files outside its folder, or needs operators that are not ONNX's own.
        TargetError: onnx is not installed.
    """
    try:
        import onnx
        from onnx import inliner
    except ImportError as e:
        raise missing_package("onnx", "export") from e
    try:
        model = load_model(path.read_bytes())
    except OSError as e:
        raise ExportError(f"{path} cannot be read: {e.strerror or e}") from e
    except ManifestError as e:
        raise ExportError(f"{path} is not an ONNX file or is damaged: {shortened(str(e))}") from e
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _merge(path, tensor)
    if model.functions:
        model = inliner.inline_local_functions(model)
    _refuse_foreign(path, model)
    return model


def _tensors(model: Any) -> Iterator[Any]:
    graphs = [model.graph]
    bodies = [list(function.node) for function in model.functions]
    while graphs or bodies:
        nodes: list[Any] = []
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes = list(graph.node)
        else:
            nodes = bodies.pop()
        for attribute in (attribute for node in nodes for attribute in node.attribute):
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            graphs += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _merge(path: Path, tensor: Any) -> None:
    """Reads the values of a tensor from the file beside the model that holds them."""
    import onnx

    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder = path.parent.resolve()
    file = (folder / location).resolve()
    name = shortened(location, 60)
    if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
        raise ExportError(f"the weights of {path} must lie in its own folder, but it refers to {name!r}")
    if not file.is_file():
        raise ExportError(f"{path} keeps its weights in {name!r}, which is not beside it: copy that file there too")
    try:
        offset, size = int(entries.get("offset", 0)), file.stat().st_size
        length = int(entries.get("length", size - offset))
    except ValueError as e:
        raise ExportError(f"{path} is damaged: the place of its weights in {name!r} is not a number") from e
    if offset < 0 or length < 0 or offset + length > size:
        raise ExportError(f"{path} needs bytes {offset} to {offset + length} of {name!r}, which has {size}")
    with file.open("rb") as stream:
        stream.seek(offset)
        tensor.raw_data = stream.read(length)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _refuse_foreign(path: Path, model: Any) -> None:
    nodes = list(model.graph.node)
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in STANDARD_DOMAINS})
    if any(name.startswith(_MICROSOFT) for name in foreign):
        raise ExportError(
            f"{path} was optimized for onnxruntime ({', '.join(foreign[:3])}): pass the file from before that, as "
            f"torch.onnx.export wrote it"
        )
    if foreign:
        raise ExportError(
            f"{path} has custom operators, which no device runtime contains: {', '.join(foreign[:5])}; build the model "
            f"from operators of PyTorch and export it again"
        )
    control = sorted({node.op_type for node in nodes if node.op_type in _CONTROL})
    if control:
        raise ExportError(
            f"{path} has control flow ({', '.join(control)}), which pocketvae does not support: export it with fixed "
            f"sizes and without branches or loops over data, for example {_EXPORT}"
        )
    quantized = sorted(
        {node.op_type for node in nodes if "Linear" in node.op_type or node.op_type.startswith("QLinear")}
    )
    if quantized:
        raise ExportError(
            f"{path} is quantized already ({', '.join(quantized[:3])}): pass the float file, which pocketvae quantizes"
        )
