"""Pixels as input or output of an ONNX file, with standard operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from pocketvae.errors import ExportError
from pocketvae.export.convert.onnx import serialize
from pocketvae.formats.onnx.model import load_model
from pocketvae.numerics.pixels import WHITE
from pocketvae.spec import Component

_PREFIX = "pixels/"


def with_pixels(content: bytes, component: Component, image_range: tuple[float, float]) -> bytes:
    """Returns the file with its image as uint8, see `pixels_tflite.with_pixels`.

    Raises:
        ExportError: the image is not float32.
    """
    import onnx

    model = load_model(content)
    if component is Component.ENCODER:
        _take_pixels(model.graph, "x", image_range)
    else:
        _return_pixels(model.graph, "image", image_range)
    onnx.checker.check_model(model, full_check=True)
    return serialize(model)


def _return_pixels(graph: Any, name: str, image_range: tuple[float, float]) -> None:
    from onnx import TensorProto

    low, high = image_range
    scale = WHITE / (high - low)
    image = _set_uint8(graph.output, name)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [image if known == name else known for known in names]
    graph.node.extend(
        [
            _binary(graph, "Mul", image, scale, f"{_PREFIX}scaled"),
            _binary(graph, "Add", f"{_PREFIX}scaled", 0.5 - low * scale, f"{_PREFIX}shifted"),
            _cast(f"{_PREFIX}shifted", name, TensorProto.UINT8),
        ]
    )


def _take_pixels(graph: Any, name: str, image_range: tuple[float, float]) -> None:
    from onnx import TensorProto

    low, high = image_range
    image = _set_uint8(graph.input, name)
    for node in graph.node:
        node.input[:] = [image if known == name else known for known in node.input]
    unit = image if image_range == (0.0, 1.0) else f"{_PREFIX}unit"
    nodes = [
        _cast(name, f"{_PREFIX}whole", TensorProto.FLOAT),
        _binary(graph, "Div", f"{_PREFIX}whole", float(WHITE), unit),
    ]
    if unit != image:
        nodes.append(_binary(graph, "Mul", unit, high - low, f"{_PREFIX}spread"))
        nodes.append(_binary(graph, "Add", f"{_PREFIX}spread", low, image))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)


def _set_uint8(values: Any, name: str) -> str:
    """Changes the type of an input or output and returns a name for the real numbers behind it."""
    from onnx import TensorProto

    value = next(value for value in values if value.name == name)
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise ExportError(f"{name!r} must be float32 to be turned into pixels")
    value.type.tensor_type.elem_type = TensorProto.UINT8
    return f"{_PREFIX}{name}"


def _binary(graph: Any, kind: str, source: str, constant: float, target: str) -> Any:
    from onnx import helper, numpy_helper

    number = numpy_helper.from_array(np.array(constant, np.float32), f"{target}/number")
    graph.initializer.append(number)
    return helper.make_node(kind, [source, number.name], [target], target)


def _cast(source: str, target: str, kind: int) -> Any:
    from onnx import helper

    return helper.make_node("Cast", [source], [target], f"{_PREFIX}cast", to=kind)
