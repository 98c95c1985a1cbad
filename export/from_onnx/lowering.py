"""Other versions of ONNX's operators, and other types of numbers, as the one version and float32."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pocketvae.errors import ExportError
from pocketvae.export.convert.onnx import OPSET
from pocketvae.export.from_onnx.folding import opset_of, shapes_of, store
from pocketvae.formats.onnx.model import array, initializers, replace_array
from pocketvae.parsing import shortened

# Of onnx 1.12, which wrote opset 17 first.
_IR_VERSION = 8
_OLDEST = 7
Nodes = list[Any]


def raised(model: Any) -> Any:
    """Returns a model of an older opset in `OPSET`; any other as it is.

    Raises:
        ExportError: it is too old, or cannot be converted.
    """
    from onnx import version_converter

    opset = opset_of(model)
    if opset >= OPSET:
        return model
    if opset < _OLDEST:
        raise ExportError(
            f"the ONNX file must be of opset {_OLDEST} or later, got {opset}: export it with opset {OPSET}"
        )
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as e:  # The converter raises RuntimeErrors of many texts.
        reason = shortened(" ".join(str(e).split()), 150)
        raise ExportError(
            f"opset {opset} cannot be converted to {OPSET} ({reason}): export the model with opset_version={OPSET}"
        ) from e


def to_float32(model: Any) -> tuple[str, ...]:
    """Gives all real numbers the type float32, in place; returns the names of the other types that there were."""
    from onnx import TensorProto, helper

    others = {TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64", TensorProto.BFLOAT16: "bfloat16"}
    found: set[str] = set()
    for tensor in model.graph.initializer:
        if tensor.data_type in others:
            found.add(others[tensor.data_type])
            replace_array(tensor, array(tensor).astype(np.float32))
    for value in (*model.graph.input, *model.graph.output):
        kind = value.type.tensor_type
        if kind.elem_type in others:
            found.add(others[kind.elem_type])
            kind.elem_type = TensorProto.FLOAT
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i in others:
                attribute.CopyFrom(helper.make_attribute(attribute.name, TensorProto.FLOAT))
    return tuple(sorted(found))


def pixels_as_floats(model: Any) -> bool:
    """Leaves out, in place, the cast behind inputs and before outputs of 8-bit integers, which then are real numbers.

    Returns:
        Whether there was one.
    """
    import onnx

    graph, pixels = model.graph, (onnx.TensorProto.UINT8, onnx.TensorProto.INT8)
    if not any(value.type.tensor_type.elem_type in pixels for value in (*graph.input, *graph.output)):
        return False
    values = onnx.shape_inference.infer_shapes(model).graph.value_info
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    gone: list[Any] = []
    for given in graph.input:
        readers = [node for node in graph.node if given.name in node.input]
        own = {types.get(node.output[0]) if node.op_type == "Cast" else None for node in readers}
        if given.type.tensor_type.elem_type in pixels and len(own) == 1 and None not in own:
            given.type.tensor_type.elem_type = own.pop()
            gone += [(node, node.output[0], given.name) for node in readers]
    for output in graph.output:
        maker = next((node for node in graph.node if output.name in node.output), None)
        is_read = any(output.name in node.input for node in graph.node)
        if output.type.tensor_type.elem_type in pixels and maker and maker.op_type == "Cast" and not is_read:
            output.type.tensor_type.elem_type = types.get(maker.input[0], onnx.TensorProto.FLOAT)
            gone.append((maker, maker.input[0], output.name))
    kept = [node for node in graph.node if not any(node == cast for cast, _, _ in gone)]
    for node in kept:
        for _, old, new in gone:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
    del graph.node[:]
    graph.node.extend(kept)
    return bool(gone)


def lower(model: Any) -> None:
    """Rewrites operators of opsets after `OPSET` in those of `OPSET`, in place.

    Raises:
        ExportError: an operator or a setting of it does not exist there; the message names it.
    """
    from onnx import helper

    graph = model.graph
    has_groups = any(node.op_type == "GroupNormalization" for node in graph.node)
    ranks = {name: len(sizes) for name, sizes in shapes_of(model).items()} if has_groups else {}
    nodes = [made for node in graph.node for made in _lowered(graph, node, ranks)]
    del graph.node[:]
    graph.node.extend(nodes)
    _check(graph, opset_of(model))
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    model.ir_version = _IR_VERSION


def _lowered(graph: Any, node: Any, ranks: Mapping[str, int]) -> Nodes:
    node.domain = ""
    if node.op_type in _DECOMPOSED:
        return list(_DECOMPOSED[node.op_type](_Maker(graph, node, ranks)))
    if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum":
        _axes_to_attribute(graph, node)
    if node.op_type == "Split":
        _drop(node, "num_outputs")
    if node.op_type == "Resize":
        _whole_resize(graph, node)
    for name in _SETTINGS.get(node.op_type, ()):
        _drop(node, name)
    return [node]


# Settings that only say how special values are treated, or that have no effect with their usual value.
_SETTINGS = {"Cast": ("saturate", "round_mode"), "Resize": ("antialias", "keep_aspect_ratio_policy")}


def _drop(node: Any, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    if name == "antialias" and any(item.name == name and item.i for item in node.attribute):
        raise ExportError(f"pocketvae does not support Resize with antialias ({node.name})")
    policies = [item.s.decode() for item in node.attribute if item.name == name == "keep_aspect_ratio_policy"]
    if policies not in ([], ["stretch"]):
        raise ExportError(f"pocketvae does not support Resize with {name} {policies[0]} ({node.name})")
    del node.attribute[:]
    node.attribute.extend(kept)


def _constant(graph: Any, node: Any, place: int) -> Any:
    name = node.input[place] if len(node.input) > place else ""
    stored = initializers(graph)
    if name and name not in stored:
        raise ExportError(f"the ONNX operator {node.op_type} ({node.name}) must have constant settings")
    return array(stored[name]) if name else None


def _axes_to_attribute(graph: Any, node: Any) -> None:
    from onnx import helper

    axes = _constant(graph, node, 1)
    del node.input[1:]
    if axes is not None:
        node.attribute.append(helper.make_attribute("axes", [int(axis) for axis in axes]))
    _drop(node, "noop_with_empty_axes")


def _whole_resize(graph: Any, node: Any) -> None:
    """Names the scales of all axes, which opset 18 may leave out."""
    axes = next((list(item.ints) for item in node.attribute if item.name == "axes"), None)
    if axes is None:
        return
    scales = _constant(graph, node, 2)
    if scales is None or not scales.size or min(axes) < 0:
        raise ExportError(f"pocketvae does not support Resize to sizes of some axes ({node.name})")
    whole = np.ones(max(axes) + 1, np.float32)
    whole[axes] = scales
    node.input[2] = store(graph, f"{node.output[0]}_scales", whole)
    _drop(node, "axes")


class _Maker:
    """Makes the nodes that an operator is decomposed into."""

    def __init__(self, graph: Any, node: Any, ranks: Mapping[str, int]) -> None:
        from onnx import helper

        self.graph, self.node, self.ranks = graph, node, ranks
        self.nodes: Nodes = []
        self._attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}

    def get(self, name: str, default: Any) -> Any:
        """Returns an attribute of the operator."""
        return self._attributes.get(name, default)

    def number(self, number: Any, dtype: Any = np.float32) -> str:
        """Stores a constant."""
        count = len(self.graph.initializer)
        return store(self.graph, f"{self.node.output[0]}_constant{count}", np.asarray(number, dtype))

    def add(self, kind: str, *inputs: str, last: bool = False, **attributes: Any) -> str:
        """Adds a node and returns the name of its output."""
        from onnx import helper

        place = len(self.nodes)
        output = self.node.output[0] if last else f"{self.node.output[0]}_{kind}{place}"
        name = f"{self.node.name or self.node.output[0]}/{kind}{place}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name, **attributes))
        return output


def _gelu(maker: _Maker) -> Nodes:
    x = maker.node.input[0]
    if maker.get("approximate", b"none") == b"tanh":
        cube = maker.add("Mul", maker.add("Mul", x, x), x)
        inner = maker.add("Add", x, maker.add("Mul", cube, maker.number(0.044715)))
        curve = maker.add("Tanh", maker.add("Mul", inner, maker.number(math.sqrt(2 / math.pi))))
    else:
        curve = maker.add("Erf", maker.add("Div", x, maker.number(math.sqrt(2))))
    half = maker.add("Mul", x, maker.number(0.5))
    maker.add("Mul", half, maker.add("Add", curve, maker.number(1)), last=True)
    return maker.nodes


def _swish(maker: _Maker) -> Nodes:
    x, alpha = maker.node.input[0], maker.get("alpha", 1.0)
    scaled = x if alpha == 1 else maker.add("Mul", x, maker.number(alpha))
    maker.add("Mul", x, maker.add("Sigmoid", scaled), last=True)
    return maker.nodes


def _mish(maker: _Maker) -> Nodes:
    x = maker.node.input[0]
    maker.add("Mul", x, maker.add("Tanh", maker.add("Softplus", x)), last=True)
    return maker.nodes


def _group_norm(maker: _Maker) -> Nodes:
    x, scale, bias = maker.node.input
    groups = int(maker.get("num_groups", 1))
    stored = initializers(maker.graph)
    if scale not in stored or bias not in stored:
        raise ExportError(f"GroupNormalization must have constant weights ({maker.node.name})")
    factors, shifts = array(stored[scale]), array(stored[bias])
    # Up to opset 20 each group has one of both, after it each channel.
    is_by_group = len(factors) == groups
    inner = (factors, shifts) if is_by_group else (np.ones(groups), np.zeros(groups))
    grouped = maker.add("Reshape", x, maker.number([0, groups, -1], np.int64))
    normal = maker.add("InstanceNormalization", grouped, *map(maker.number, inner), epsilon=maker.get("epsilon", 1e-5))
    back = maker.add("Reshape", normal, maker.add("Shape", x), last=is_by_group)
    if is_by_group:
        return maker.nodes
    shape = (-1, *(1,) * (maker.ranks.get(x, 4) - 2))
    scaled = maker.add("Mul", back, maker.number(factors.reshape(shape)))
    maker.add("Add", scaled, maker.number(shifts.reshape(shape)), last=True)
    return maker.nodes


def _rms_norm(maker: _Maker) -> Nodes:
    x, scale = maker.node.input
    axis = int(maker.get("axis", -1))
    if axis != -1:
        raise ExportError(f"pocketvae does not support RMSNormalization from axis {axis} ({maker.node.name})")
    mean = maker.add("ReduceMean", maker.add("Mul", x, x), axes=[-1], keepdims=1)
    root = maker.add("Sqrt", maker.add("Add", mean, maker.number(maker.get("epsilon", 1e-5))))
    maker.add("Mul", maker.add("Div", x, root), scale, last=True)
    return maker.nodes


def _axes_of(maker: _Maker) -> list[int] | None:
    """Returns the axes of a reduction, an attribute up to opset 17 and an input after it; None of all axes."""
    axes = maker.get("axes", None)
    axes = _constant(maker.graph, maker.node, 1) if axes is None else axes
    return None if axes is None or not len(axes) else [int(axis) for axis in axes]


def _sum(maker: _Maker, x: str, axes: list[int] | None, *, keepdims: int, last: bool = False) -> str:
    stored = () if axes is None else (maker.number(axes, np.int64),)
    return maker.add("ReduceSum", x, *stored, keepdims=keepdims, last=last)


# OpenVINO 2026.4.1 ignores the axes that these have in opset 17: findings/openvino_reduce_axes.sh.
def _sum_of_sizes(maker: _Maker) -> Nodes:
    sizes = maker.add("Abs", maker.node.input[0])
    _sum(maker, sizes, _axes_of(maker), keepdims=maker.get("keepdims", 1), last=True)
    return maker.nodes


def _log_sum(maker: _Maker) -> Nodes:
    total = _sum(maker, maker.node.input[0], _axes_of(maker), keepdims=maker.get("keepdims", 1))
    maker.add("Log", total, last=True)
    return maker.nodes


def _log_sum_exp(maker: _Maker) -> Nodes:
    x, axes, keeps = maker.node.input[0], _axes_of(maker), maker.get("keepdims", 1)
    some: dict[str, Any] = {} if axes is None else {"axes": axes}
    # The largest value in front, so that no exponential overflows.
    largest = maker.add("ReduceMax", x, keepdims=1, **some)
    total = _sum(maker, maker.add("Exp", maker.add("Sub", x, largest)), axes, keepdims=keeps)
    offset = largest if keeps else maker.add("ReduceMax", x, keepdims=0, **some)
    maker.add("Add", maker.add("Log", total), offset, last=True)
    return maker.nodes


_DECOMPOSED: dict[str, Callable[[_Maker], Nodes]] = {
    "Gelu": _gelu,
    "GroupNormalization": _group_norm,
    "Mish": _mish,
    "RMSNormalization": _rms_norm,
    "ReduceL1": _sum_of_sizes,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
    "Swish": _swish,
}


def _check(graph: Any, opset: int) -> None:
    for node in graph.node:
        problem = next(_problems(node, opset), None)
        if problem:
            raise ExportError(
                f"the ONNX operator {node.op_type} of opset {opset} {problem} in opset {OPSET}: export the model with "
                f"opset_version={OPSET}"
            )


def _problems(node: Any, opset: int) -> Iterator[str]:
    from onnx import defs, helper

    try:
        old = defs.get_schema(node.op_type, OPSET, "")
        new = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError:
        yield "does not exist"
        return
    for attribute in list(node.attribute):
        if attribute.name in old.attributes:
            continue
        known = new.attributes.get(attribute.name)
        default = known.default_value if known is not None else None
        is_usual = default is not None and helper.get_attribute_value(attribute) == helper.get_attribute_value(default)
        if is_usual or (known is not None and attribute.ints and set(attribute.ints) == {1}):
            _drop(node, attribute.name)
        else:
            yield f"has the setting {attribute.name}, which does not exist"
    if len(node.input) > old.max_input:
        yield "has more inputs than"
