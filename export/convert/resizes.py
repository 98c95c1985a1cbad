"""Bicubic resizes as two products of matrices: TFLite has no operator for them."""

from __future__ import annotations

from typing import Any

from pocketvae.keras.io import import_tensorflow

BICUBIC = "ResizeBicubic"


def with_matrices(definition: Any) -> Any:
    """Returns a frozen graph in which products of matrices, equal to rounding, replace its bicubic resizes.

    A resize is linear in the rows and in the columns, so that its matrices are what it makes of unit vectors. A resize
    of open sizes stays.

    Args:
        definition: A `GraphDef`.
    """
    tf = import_tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    resizes = [operator for operator in graph.get_operations() if operator.type == BICUBIC]
    matrices = {operator.name: _matrices(operator) for operator in resizes}
    with graph.as_default():
        made = {item.name: _product(item, *found).op.name for item in resizes if (found := matrices[item.name])}
    result = graph.as_graph_def()
    kept = [node for node in result.node if node.name not in made]
    for node in kept:
        node.input[:] = [made.get(source.removesuffix(":0"), source) for source in node.input]
    del result.node[:]
    result.node.extend(kept)
    return result


def _matrices(operator: Any) -> tuple[Any, Any] | None:
    """Returns `[H, h]` and `[W, w]`; None where a size is open."""
    tf = import_tensorflow()
    target, source = tf.get_static_value(operator.inputs[1]), operator.inputs[0].shape
    if target is None or source.rank != 4 or None in source[1:3]:
        return None
    attributes = {name: operator.get_attr(name) for name in ("align_corners", "half_pixel_centers")}

    def matrix(axis: int) -> Any:
        length = source[1 + axis]
        units = tf.reshape(tf.eye(length), (1, length, 1, length))
        resized = tf.raw_ops.ResizeBicubic(images=units, size=(int(target[axis]), 1), **attributes)
        return resized[0, :, 0, :].numpy()

    return matrix(0), matrix(1)


def _product(operator: Any, rows: Any, columns: Any) -> Any:
    tf = import_tensorflow()
    with tf.name_scope(f"{operator.name}/"):
        wide = tf.matmul(columns[None, None], operator.inputs[0])
        tall = tf.matmul(rows[None, None], tf.transpose(wide, (0, 2, 1, 3)))
        return tf.transpose(tall, (0, 2, 1, 3))
