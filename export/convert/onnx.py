"""Conversion to ONNX: float32 through tf2onnx, float16 from float32."""

from __future__ import annotations

import contextlib
import copy
import logging
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from pocketvae.errors import ExportError, missing_package
from pocketvae.export.convert.graphs import Graph, expanded_for_onnx
from pocketvae.export.convert.onnx_clip import fuse_clips
from pocketvae.export.convert.operators import refuse_foreign_onnx
from pocketvae.formats.onnx.model import load_model
from pocketvae.system.quiet import quiet_stderr

# tf2onnx writes 15 to 18; 17 is read by every onnxruntime since 1.12 and by onnxruntime-web.
OPSET = 17
_LEAST_SHARED_BYTES = 1 << 16
_COUNTER = re.compile(r"__\d+")


def convert_float32(graph: Graph) -> bytes:
    """Converts a graph and checks the result.

    Raises:
        ExportError: the graph needs non-standard operators, has stray inputs, or fails the check.
        TargetError: onnx or tf2onnx is not installed.
    """
    try:
        import onnx
        import tf2onnx
    except ImportError as e:
        raise missing_package("tf2onnx", "export") from e
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    try:
        with quiet_stderr(), _shared_weights():
            known = expanded_for_onnx(graph)
            model, _ = tf2onnx.convert.from_function(known.function, known.signature(), opset=OPSET)
    except Exception as e:
        raise ExportError(f"tf2onnx failed: {str(e).splitlines()[0][:300] if str(e) else type(e).__name__}") from e
    # tf2onnx continues after an operator that it cannot express.
    refuse_foreign_onnx(model, OPSET)
    inputs = [value.name for value in model.graph.input]
    names = [spec.name for spec in graph.inputs]
    if inputs != names:
        raise ExportError(f"the ONNX graph must have the inputs {names}, got {inputs}")
    fuse_clips(model)
    pad_at_the_end(model.graph)
    name_parts(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return serialize(model)


def pad_at_the_end(graph: Any) -> None:
    """Gives transposed convolutions with a kernel smaller than the stride the zeros behind each axis that they need.

    tf2onnx writes them as negative padding, which the standard does not have.
    """
    from onnx import helper

    for node in graph.node:
        pads = next((item for item in node.attribute if item.name == "pads"), None)
        if node.op_type != "ConvTranspose" or pads is None or min(pads.ints) >= 0:
            continue
        rank = len(pads.ints) // 2
        lacking = [-min(0, first + last) for first, last in zip(pads.ints[:rank], pads.ints[rank:], strict=True)]
        kept = [0 if lack else pad for pad, lack in zip(pads.ints, lacking * 2, strict=True)]
        del pads.ints[:]
        pads.ints.extend(kept)
        others = [item for item in node.attribute if item.name != "output_padding"]
        del node.attribute[:]
        node.attribute.extend([*others, helper.make_attribute("output_padding", lacking)])


@contextlib.contextmanager
def _shared_weights() -> Iterator[None]:
    """Lets the copies of a graph that tf2onnx makes before each of its optimizations share the weights.

    They are dozens, and cycles keep them until the garbage collector comes by. No optimization writes into a constant:
    it replaces it.
    """
    from tf2onnx import optimizer

    def deepcopy(value: Any) -> Any:
        nodes = value.get_nodes() if hasattr(value, "get_nodes") else ()
        weights = [node.attr["value"] for node in nodes if node.is_const() and "value" in node.attr]
        return copy.deepcopy(
            value, {id(weight): weight for weight in weights if weight.ByteSize() > _LEAST_SHARED_BYTES}
        )

    usual, optimizer.copy = optimizer.copy, SimpleNamespace(deepcopy=deepcopy)
    try:
        yield
    finally:
        optimizer.copy = usual


def name_parts(graph: Any) -> None:
    """Removes the counters from the names of nodes and tensors, which count over all conversions of a process.

    Recipes refer to layers by name, and the same model must give the same bytes. Equal names are numbered in graph
    order. A graph with subgraphs, which refer to outer names, keeps its names.
    """
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return
    nodes, tensors = _Names(), _Names()
    renamed = {"": "", **{value.name: tensors.new(value.name) for value in (*graph.input, *graph.output)}}

    def rename(name: str) -> str:
        if name not in renamed:
            renamed[name] = tensors.new(_COUNTER.sub("", name))
        return renamed[name]

    for node in graph.node:
        node.name = nodes.new(_COUNTER.sub("", node.name) or node.op_type)
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]
    for part in (*graph.initializer, *graph.value_info):
        part.name = rename(part.name)
    weights = sorted(graph.initializer, key=lambda tensor: str(tensor.name))
    del graph.initializer[:]
    graph.initializer.extend(weights)


class _Names:
    """A set of unique names."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def new(self, stem: str) -> str:
        """Returns the stem, with a number from the second time on."""
        self._counts[stem] = self._counts.get(stem, 0) + 1
        return stem if self._counts[stem] == 1 else f"{stem}__{self._counts[stem]}"


def convert_float16(float32: bytes) -> bytes:
    """Stores the weights in half precision and casts them back where they are used.

    The arithmetic stays float32 and runtimes fold the casts when they load the file, so this does not cost any time
    and matches TFLite's float16. The scales of a Resize stay as they are: sizes follow from them.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = load_model(float32)
    casts = []
    scales = {name for node in model.graph.node if node.op_type == "Resize" for name in node.input[1:]}
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.dtype != np.float32 or weights.size <= 1 or tensor.name in scales:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], f"{name}_cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return serialize(model)


def serialize(model: Any) -> bytes:
    """Returns deterministic bytes: the tools' names for unnamed parts carry counters and versions that are dropped."""
    model.doc_string = ""
    model.graph.doc_string = ""
    _drop_unused_domains(model)
    return bytes(model.SerializeToString(deterministic=True))


def _drop_unused_domains(model: Any) -> None:
    """Drops the operator sets that no node uses: onnxruntime's preparation leaves eight, and strict readers refuse."""
    used = {"", *(function.domain for function in model.functions)}
    waiting = [model.graph.node, *(function.node for function in model.functions)]
    while waiting:
        for node in waiting.pop():
            used.add(node.domain)
            waiting += [item.g.node for item in node.attribute if item.HasField("g")]
            waiting += [graph.node for item in node.attribute for graph in item.graphs]
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
