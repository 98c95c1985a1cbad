"""Repeated pixels as one nearest-neighbour resize, the form that every converter and accelerator knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from pocketvae.keras.io import import_tensorflow

_RESIZE = "ResizeNearestNeighbor"


def repeats_of(graph: Any) -> dict[str, Any]:
    """Returns the tensors that repeat the pixels of an image in a form other than a plain resize, with that image.

    Keras 3 and `tf.repeat` expand, tile and reshape, one axis after the other, with tensors of five dimensions. Keras 2
    resizes between the centres of pixels, which is the same for whole factors but needs newer operators.

    Args:
        graph: A `tf.Graph` without calls.

    Returns:
        The tensor's operator by name to the image `[N, H, W, C]`.
    """
    sources = {
        operator.name: source
        for operator in graph.get_operations()
        if (source := _repeated(operator) if operator.type == "Reshape" else _resized(operator)) is not None
    }
    found = {name: _first(source, sources) for name, source in sources.items()}
    return {name: source for name, source in found.items() if _is_exact(source, graph.get_operation_by_name(name))}


def with_resizes(definition: Any) -> Any:
    """Returns a frozen graph whose repeated pixels are nearest-neighbour resizes, bit-identical to it.

    Args:
        definition: A `GraphDef` without calls.
    """
    tf = import_tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
        made = {
            name: _resize(graph.get_operation_by_name(name), source).name for name, source in repeats_of(graph).items()
        }
    result = graph.as_graph_def()
    for node in result.node:
        node.input[:] = [made.get(source.removesuffix(":0"), source) for source in node.input]
    return _with_names(result, made)


def _repeated(operator: Any) -> Any:
    """Returns the image of Reshape(Tile(ExpandDims(image))), or with a Reshape that expands; else None."""
    tile = operator.inputs[0].op
    expand = tile.inputs[0].op if tile.type == "Tile" else None
    if expand is None or expand.type not in ("ExpandDims", "Reshape"):
        return None
    source = expand.inputs[0]
    image, expanded, tiled, joined = (
        tuple(tensor.shape) if tensor.shape.is_fully_defined() else ()
        for tensor in (source, expand.outputs[0], tile.outputs[0], operator.outputs[0])
    )
    if not all((image, expanded, tiled, joined)) or len(image) != 4 or 0 in image:
        return None
    for axis in (2, 3):  # behind the rows, or behind the columns
        factor = joined[axis - 1] // image[axis - 1]
        grown = tuple(size * factor if place == axis - 1 else size for place, size in enumerate(image))
        one, many = ((*image[:axis], count, *image[axis:]) for count in (1, factor))
        if (expanded, tiled, joined) == (one, many, grown):
            return source
    return None


def _resized(operator: Any) -> Any:
    if operator.type != _RESIZE or not operator.get_attr("half_pixel_centers") or operator.get_attr("align_corners"):
        return None
    return operator.inputs[0]


def _first(source: Any, sources: dict[str, Any]) -> Any:
    """Returns the image where repeats begin that follow on one another."""
    while source.op.name in sources:
        source = sources[source.op.name]
    return source


def _is_exact(source: Any, operator: Any) -> bool:
    """Whether a resize in float32 arithmetic picks every pixel as the repeat does."""
    small, large = source.shape, operator.outputs[0].shape
    if not (small.is_fully_defined() and large.is_fully_defined()):
        return False
    return all(_picks_whole_blocks(small[axis], large[axis]) for axis in (1, 2))


def _picks_whole_blocks(small: int, large: int) -> bool:
    factor, rest = divmod(large, small)
    places = np.arange(large)
    picked = np.floor(places.astype(np.float32) * np.float32(small / large)).astype(np.int64)
    return rest == 0 and bool(np.array_equal(picked, places // factor))


def _resize(operator: Any, source: Any) -> Any:
    tf = import_tensorflow()
    size = tf.constant(operator.outputs[0].shape[1:3].as_list(), tf.int32, name=f"{operator.name}/size")
    return tf.raw_ops.ResizeNearestNeighbor(images=source, size=size, name=f"{operator.name}/nearest").op


def _with_names(definition: Any, made: dict[str, str]) -> Any:
    """Returns the definition without the nodes that were replaced; an output that one gave keeps its name."""
    old = {new: name for name, new in made.items()}
    kept = [node for node in definition.node if node.name not in made]
    for node in kept:
        node.name = old.get(node.name, node.name)
        node.input[:] = [old.get(source.removesuffix(":0"), source) for source in node.input]
    del definition.node[:]
    definition.node.extend(kept)
    return definition
