"""Changes of an ONNX file as a graph, which leave it readable as one: what damaged bytes hardly ever are."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

_OPERATORS = (
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "ConstantOfShape",
    "Conv", "ConvTranspose", "Div", "Einsum", "Expand", "Flatten", "Gather", "GatherND", "Gemm", "If",
    "InstanceNormalization", "LayerNormalization", "MatMul", "OneHot", "Pad", "RandomNormalLike",
    "ReduceMean", "Reshape", "Resize", "Scan", "ScatterND", "Shape", "Sigmoid", "Slice", "Softmax", "Split",
    "Squeeze", "Tile", "TopK", "Transpose", "Unsqueeze", "Upsample", "Where", "Nothing",
)  # fmt: skip
_NUMBERS = (-(2**63), -(2**31), -1000, -2, -1, 0, 1, 2, 3, 5, 7, 1000, 2**31, 2**40, 2**63 - 1)
# NaN, infinity, 0, nothing, the largest number.
_WORDS = (b"\xff\xff\xff\x7f", b"\0\0\x80\x7f", b"\0\0\0\0", b"", b"\xff\xff\x7f\x7f")
_TYPES = range(24)
_NAMES = ("", "x", "z", "a\n", "\0", "é", "n" * 5000)


def mutate_graph(samples: Sequence[bytes], random_: random.Random) -> bytes:
    """Returns a sample with one to three parts of its graph changed."""
    import onnx

    model = onnx.load_from_string(random_.choice(samples))
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        try:
            random_.choice(_CHANGES)(model, random_)
        except (IndexError, ValueError, TypeError):  # the graph does not have such a part, or it takes no such value
            continue
    return bytes(model.SerializeToString())


def _node(model: Any, random_: random.Random) -> Any:
    return random_.choice(model.graph.node)


def _tensor(model: Any, random_: random.Random) -> Any:
    return random_.choice(model.graph.initializer)


def _value(model: Any, random_: random.Random) -> Any:
    return random_.choice([*model.graph.input, *model.graph.output])


def _name(model: Any, random_: random.Random) -> str:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    return random_.choice([*names, *_NAMES])


def _operator(model: Any, random_: random.Random) -> None:
    _node(model, random_).op_type = random_.choice(_OPERATORS)


def _domain(model: Any, random_: random.Random) -> None:
    _node(model, random_).domain = random_.choice(("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "x\n"))


def _input(model: Any, random_: random.Random) -> None:
    node = _node(model, random_)
    node.input[random_.randrange(len(node.input))] = _name(model, random_)


def _output(model: Any, random_: random.Random) -> None:
    node = _node(model, random_)
    node.output[random_.randrange(len(node.output))] = _name(model, random_)


def _fewer(model: Any, random_: random.Random) -> None:
    node = _node(model, random_)
    places = random_.choice((node.input, node.output, node.attribute))
    del places[random_.randrange(len(places))]


def _more(model: Any, random_: random.Random) -> None:
    node = _node(model, random_)
    random_.choice((node.input, node.output)).append(_name(model, random_))


def _no_node(model: Any, random_: random.Random) -> None:
    del model.graph.node[random_.randrange(len(model.graph.node))]


def _order(model: Any, random_: random.Random) -> None:
    nodes = list(model.graph.node)
    random_.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _attribute(model: Any, random_: random.Random) -> None:
    attribute = random_.choice(_node(model, random_).attribute)
    if attribute.ints:
        attribute.ints[random_.randrange(len(attribute.ints))] = random_.choice(_NUMBERS)
    attribute.i, attribute.f = random_.choice(_NUMBERS), random_.choice((0.0, -1.0, float("nan"), float("inf"), 1e38))


def _attribute_kind(model: Any, random_: random.Random) -> None:
    attribute = random_.choice(_node(model, random_).attribute)
    attribute.type = random_.randrange(15)
    attribute.name = random_.choice((attribute.name, "axis", "perm", "pads", "strides", "value", "shape", "mode", ""))


def _sizes(model: Any, random_: random.Random) -> None:
    tensor = _tensor(model, random_)
    change = random_.randrange(3)
    if change == 0:
        tensor.dims[random_.randrange(len(tensor.dims))] = random_.choice(_NUMBERS)
    elif change == 1:
        tensor.dims.append(random_.choice(_NUMBERS))
    else:
        del tensor.dims[:]


def _content(model: Any, random_: random.Random) -> None:
    tensor = _tensor(model, random_)
    data = bytearray(tensor.raw_data)
    place = random_.randrange(0, len(data), 4)
    data[place : place + 4] = random_.choice(_WORDS)
    tensor.raw_data = bytes(data)


def _type(model: Any, random_: random.Random) -> None:
    if random_.random() < 0.5:
        _value(model, random_).type.tensor_type.elem_type = random_.choice(_TYPES)
    else:
        _tensor(model, random_).data_type = random_.choice(_TYPES)


def _tensor_name(model: Any, random_: random.Random) -> None:
    _tensor(model, random_).name = _name(model, random_)


def _shape(model: Any, random_: random.Random) -> None:
    sizes = _value(model, random_).type.tensor_type.shape.dim
    change = random_.randrange(4)
    if change == 0:
        random_.choice(sizes).dim_value = random_.choice(_NUMBERS)
    elif change == 1:
        random_.choice(sizes).dim_param = random_.choice(("n", "", "a b"))
    elif change == 2:
        sizes.add().dim_value = random_.choice(_NUMBERS)
    else:
        del sizes[random_.randrange(len(sizes)) :]


def _interface(model: Any, random_: random.Random) -> None:
    values = random_.choice((model.graph.input, model.graph.output))
    if random_.random() < 0.5:
        values[random_.randrange(len(values))].name = _name(model, random_)
    elif random_.random() < 0.5:
        del values[random_.randrange(len(values))]
    else:
        values.add().CopyFrom(random_.choice(values))


def _version(model: Any, random_: random.Random) -> None:
    random_.choice(model.opset_import).version = random_.choice((-1, 0, 1, 6, 7, 9, 11, 13, 18, 21, 99, 2**40))
    if random_.random() < 0.3:
        model.ir_version = random_.choice((0, 1, 3, 4, 7, 99))


def _external(model: Any, random_: random.Random) -> None:
    tensor = _tensor(model, random_)
    tensor.data_location = 1
    for key, value in (("location", ("a.onnx", "../a", "/etc/hosts", "x")), ("offset", ("0", "-1", "9" * 30, "x"))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, random_.choice(value)


_CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (
    *(_operator, _domain, _input, _output, _fewer, _more, _no_node, _order, _attribute, _attribute_kind),
    *(_sizes, _content, _type, _tensor_name, _shape, _interface, _version, _external),
)
