"""Reading of ONNX files that other programs wrote: with their external weights, and nothing else of the machine."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError, ManifestError, PocketVaeError, missing_package
from pocketvae.formats.onnx.model import load_model
from pocketvae.parsing import shortened
from pocketvae.runtimes.onnxruntime import open_session

STANDARD_DOMAINS = ("", "ai.onnx")
_CONTROL = ("If", "Loop", "Scan")
# Values of 2 bits in a byte, complex numbers in two.
_MOST_PACKED = 4
_LONGEST_NAME = 500
_MOST_VALUES = 1 << 30
# In messages of onnx' checker.
_DISORDER = ("topologically sorted", "static assignment")
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
        _check_size(path, tensor)
    if not model.graph.output:
        raise ExportError(f"{path} has no outputs: export the model again")
    for value in (*model.graph.input, *model.graph.output):
        if not value.name or not value.name.isprintable() or len(value.name) > _LONGEST_NAME:
            raise ExportError(f"{path} is damaged: the name of an input or output is empty, too long or not text")
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if min(sizes, default=0) < 0 or math.prod(size or 1 for size in sizes) > _MOST_VALUES:
            raise ExportError(f"{path} is damaged: {shortened(value.name, 60)!r} cannot have the sizes {sizes[:8]}")
    if model.functions:
        model = inliner.inline_local_functions(model)
    _refuse_foreign(path, model)
    return model


@contextlib.contextmanager
def blaming_invalid(paths: Iterable[Path]) -> Iterator[None]:
    """Turns what goes wrong with files that are not valid ONNX into an error that says so.

    Raises:
        ExportError: something went wrong, and the checker of onnx or onnxruntime refuses one of the files.
    """
    try:
        yield
    except Exception as e:
        known = isinstance(e, PocketVaeError)
        for path in dict.fromkeys(paths):
            problem = _problem(path)
            # What was said of a file may be a consequence of its nodes' order or names.
            if problem and (not known or any(word in problem for word in _DISORDER)):
                raise ExportError(f"{path} is not a valid ONNX model ({problem}): export it again") from e
        raise


def _problem(path: Path) -> str:
    """Returns what is wrong with a file, as text; empty if it is valid."""
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
        open_session(path.read_bytes(), num_threads=1)
    except Exception as e:  # protobuf, onnx and onnxruntime raise many unrelated types
        return shortened(" ".join(str(e).split()) or type(e).__name__)
    return ""


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


def _check_size(path: Path, tensor: Any) -> None:
    """Refuses a tensor whose sizes are not those of its values: onnx trusts them, and loops for as long."""
    from onnx import helper

    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        values = getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type))
    except (KeyError, TypeError, ValueError) as e:
        raise ExportError(f"{path} is damaged: {shortened(tensor.name, 60)!r} has no known type") from e
    count = math.prod(tensor.dims)
    # Several types share a field, and some are packed in it or take two of its numbers.
    held = len(tensor.raw_data) / dtype.itemsize if tensor.HasField("raw_data") else len(values)
    if min(tensor.dims, default=0) < 0 or not count / _MOST_PACKED <= held <= _MOST_PACKED * max(count, 1):
        raise ExportError(
            f"{path} is damaged: {shortened(tensor.name, 60)!r} must have {list(tensor.dims)[:8]} values, but {held:g} "
            f"are in the file"
        )


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
