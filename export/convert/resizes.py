"""Bicubic resizes as two products of matrices: TFLite has no operator for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pocketvae.keras.io import import_tensorflow

BICUBIC = "ResizeBicubic"


def product(operator: Any) -> Callable[[], Any] | None:
    """Returns what makes the result of a resize from products of matrices, equal to rounding; None for open sizes.

    A resize is linear in the rows and in the columns, so that its matrices are what it makes of unit vectors.

    Args:
        operator: A `tf.Operation`.
    """
    matrices = _matrices(operator)
    return None if matrices is None else partial(_product, operator, *matrices)


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
    wide = tf.matmul(columns[None, None], operator.inputs[0])
    tall = tf.matmul(rows[None, None], tf.transpose(wide, (0, 2, 1, 3)))
    return tf.transpose(tall, (0, 2, 1, 3))
