"""Tensors of an ONNX graph in TensorFlow, each stored in the order of axes in which it was computed.

ONNX has the channels of an image second, TensorFlow's kernels have them last. A tensor keeps the order that its
operator left it in, and is transposed only where an operator needs another one: a chain of convolutions needs no
transpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.keras.io import import_tensorflow

Order = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Value:
    """A tensor or a constant.

    Attributes:
        stored: The tensor; constants are numpy arrays.
        order: Axis `i` of `stored` is the axis `order[i]` of the ONNX tensor.
    """

    stored: Any
    order: Order

    @property
    def is_constant(self) -> bool:
        """Whether its values are known."""
        return isinstance(self.stored, np.ndarray)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The sizes in ONNX's order; None for the batch."""
        sizes = tuple(None if size is None else int(size) for size in self.stored.shape)
        return tuple(sizes[self.order.index(axis)] for axis in range(len(sizes)))

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.order)

    def axis(self, axis: int) -> int:
        """Returns where an axis of the ONNX tensor is stored."""
        return self.order.index(axis % self.rank)

    def in_order(self, order: Order) -> Any:
        """Returns the tensor with its axes stored in an order."""
        return turned(self.stored, tuple(self.order.index(axis) for axis in order))

    def plain(self) -> Any:
        """Returns the tensor as ONNX has it."""
        return self.in_order(plain_order(self.rank))

    def array(self) -> npt.NDArray[Any]:
        """Returns the values of a constant."""
        return np.asarray(self.plain())


def value(stored: Any, order: Order | None = None) -> Value:
    """Returns a tensor whose axes are stored in an order; without one, as ONNX has them."""
    return Value(stored=stored, order=plain_order(len(stored.shape)) if order is None else order)


def plain_order(rank: int) -> Order:
    """Returns the order of ONNX."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """Returns the order of images, sequences and volumes with their channels last."""
    return (0, *range(2, rank), 1)


def turned(tensor: Any, axes: Sequence[int]) -> Any:
    """Returns a transposed tensor; where only axes of size 1 move, it is reshaped, which costs nothing."""
    if list(axes) == sorted(axes):
        return tensor
    if isinstance(tensor, np.ndarray):
        return np.transpose(tensor, axes)
    tf = import_tensorflow()
    sizes = [tensor.shape[axis] for axis in axes]
    moved = [axis for axis in axes if tensor.shape[axis] != 1]
    if moved == sorted(moved) and sum(size is None for size in sizes) <= 1:
        return tf.reshape(tensor, [-1 if size is None else size for size in sizes])
    return tf.transpose(tensor, axes)


def together(values: Sequence[Value]) -> tuple[list[Any], Order]:
    """Returns tensors that broadcast against one another, and the order that they share."""
    rank = max(item.rank for item in values)
    full = [item for item in values if item.rank == rank and not item.is_constant]
    order = next((item.order for item in full if item.order != plain_order(rank)), plain_order(rank))
    return [_broadcastable(item, rank, order) for item in values], order


def _broadcastable(item: Value, rank: int, order: Order) -> Any:
    if item.rank == 0 or item.rank == rank:
        return item.in_order(order) if item.rank else item.stored
    if order == plain_order(rank):
        return item.plain()
    lacking = (1,) * (rank - item.rank)
    plain = item.plain()
    if item.is_constant:
        return turned(plain.reshape(lacking + plain.shape), order)
    tf = import_tensorflow()
    sizes = [size if size is not None else -1 for size in item.shape]
    return turned(tf.reshape(plain, [*lacking, *sizes]), order)
