"""What items of a kind of data have to be: their shape, and the values that they may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError
from pocketvae.vae_spec import DataKind, VaeSpec


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the items of an array have to be.

    Attributes:
        data: Their kind.
        shape: Of one item; None for any of the kind.
        limits: The lowest and highest value, in their own unit; None for any finite ones.
    """

    data: DataKind
    shape: tuple[int, ...] | None = None
    limits: tuple[float, float] | None = None

    @classmethod
    def of(cls, vae: VaeSpec) -> Form:
        """Returns what a model takes."""
        return cls(data=vae.data, shape=vae.input_shape, limits=vae.data_range if vae.range_is_strict else None)

    @property
    def plural(self) -> str:
        """Several items."""
        return f"{self.data}s"

    def fitted(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Returns the shape of items that come as arrays of a shape; None if they do not fit.

        A missing last dimension of 1 is added.
        """
        if self.shape is not None:
            return self.shape if shape in (self.shape, without_channel(self.shape)) else None
        if len(shape) == self.data.rank:
            return shape
        return (*shape, 1) if len(shape) == self.data.rank - 1 > 0 else None


def checked(array: npt.NDArray[Any], form: Form, name: str, items: tuple[str, ...] = ()) -> npt.NDArray[np.float32]:
    """Checks and converts an array to `[N, *shape] float32`.

    Args:
        array: `[N, ...]`.
        form: What one item is.
        name: Of the source, for messages.
        items: Names of the items; empty for numbers.

    Raises:
        DataError: the shape is another, there are no items, or a value is not finite or out of range.
    """
    shape = form.fitted(array.shape[1:]) if array.ndim else None
    if shape is None:
        expected = form.data.axes if form.shape is None else ", ".join(map(str, form.shape))
        taker = "for" if form.shape is None else "as the model takes"
        raise DataError(f"{name} must be [N, {expected}] {taker} {form.plural}, got {list(array.shape)}")
    if 0 in array.shape:
        raise DataError(f"{name} holds no {form.plural}, got {list(array.shape)}")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32).reshape(len(array), *shape)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, *place = bad[0].tolist()
        where = f"column {place[0]}" if form.data is DataKind.VECTOR else f"place {place}"
        given = array.reshape(values.shape)[*bad[0]]
        large = f" from {given:g}, which is too large for float32" if np.isfinite(given) else ""
        found = f"{values[*bad[0]]}{large}"
        item = items[row] if items else f"item {row}"
        raise DataError(f"{name}, {item}, {where} (both from 0): must be a finite number, got {found}")
    check_limits(values, form, name, items)
    return values


def check_limits(values: npt.NDArray[np.float32], form: Form, name: str, items: tuple[str, ...]) -> None:
    """Checks that values are in the range of a form.

    Args:
        values: `[N, *shape]`.
        form: Says the range, or none.
        name: Of the source, for messages.
        items: Names of the items; empty for numbers.

    Raises:
        DataError: one is outside.
    """
    if form.limits is None:
        return
    low, high = form.limits
    outside = ((values < low) | (values > high)).reshape(len(values), -1).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"{name} must be in [{low:g}, {high:g}] as the decoder's output, got {values.min():g} to "
            f"{values.max():g}, first in {items[row] if items else f'item {row}'}: scale them as for training"
        )


def without_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns a shape without its last dimension, if that is 1."""
    return shape[:-1] if shape[-1] == 1 else shape
