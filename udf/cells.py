"""Cells of a table to arrays for models, and results of models to columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.data.forms import Form, checked
from pocketvae.errors import DataError
from pocketvae.numerics.normalization import normalized
from pocketvae.vae_spec import DataKind, VaeSpec

# A row for each item: numbers `[N]` or `[N, D]`, or bytes.
Results: TypeAlias = Mapping[str, "npt.NDArray[Any] | list[bytes]"]
# Of columns in a schema of Spark.
_SPARK = {"f4": "float", "f8": "double", "i4": "int", "b1": "boolean"}


def items_of(cells: Sequence[Any], vae: VaeSpec, column: str) -> npt.NDArray[Any]:
    """Returns items as an encoder takes them, `[N, *input_shape]`.

    Args:
        cells: Numbers of one item each, in any shape, in the unit of the user's data; pixels also as bytes.
        vae: The interface of the model.
        column: Name of the column, for messages.

    Raises:
        DataError: an item has another number of values, or values that the model does not take.
    """
    rows = [np.frombuffer(cell, np.uint8) if isinstance(cell, bytes | bytearray) else _numbers(cell) for cell in cells]
    expected = int(np.prod(vae.input_shape))
    for index, row in enumerate(rows):
        if row.size != expected:
            raise DataError(
                f"row {index} of {column!r} must hold {expected} numbers ({'x'.join(map(str, vae.input_shape))}), got "
                f"{row.size}"
            )
    values = np.stack(rows).reshape(len(rows), *vae.input_shape)
    if vae.data is DataKind.IMAGE:
        return _pixels(values, column) if values.dtype.kind in "iu" else values.astype(np.float32)
    return normalized(checked(values, Form.of(vae), column), vae.input_channels)


def latents_of(cells: Sequence[Any], column: str) -> npt.NDArray[np.float32]:
    """Returns latents `[N, D]`.

    Raises:
        DataError: they do not have the same number of values.
    """
    rows = [_numbers(cell).astype(np.float32) for cell in cells]
    sizes = {row.size for row in rows}
    if len(sizes) > 1:
        raise DataError(f"latents in {column!r} must have one number of values, got {sorted(sizes)}")
    return np.stack(rows)


def spark_schema(results: Results) -> str:
    """Returns the columns of results as Spark names their types: `z_mean array<float>, anomalous boolean`."""
    return ", ".join(f"{name} {_spark_type(values)}" for name, values in results.items())


def _spark_type(values: npt.NDArray[Any] | list[bytes]) -> str:
    if isinstance(values, list):
        return "binary"
    name = _SPARK[values.dtype.str[1:]]
    return name if values.ndim == 1 else f"array<{name}>"


def _numbers(cell: Any) -> npt.NDArray[Any]:
    array = np.asarray(cell)
    if array.dtype == object:  # lists of lists, as pandas and Arrow nest them
        array = np.concatenate([_numbers(part) for part in array]) if array.size else np.empty(0, np.float32)
    if array.dtype.kind not in "iufb":
        raise DataError(f"an item must hold numbers, got {array.dtype}")
    return array.reshape(-1)


def _pixels(values: npt.NDArray[Any], column: str) -> npt.NDArray[np.uint8]:
    if values.size and not 0 <= values.min() <= values.max() <= 255:
        raise DataError(f"pixels in {column!r} must be 0 to 255, got {values.min()} to {values.max()}")
    return values.astype(np.uint8)
