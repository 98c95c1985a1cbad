"""Cells of a table to arrays for models, and results of models to columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.data.forms import Form, checked
from pocketvae.errors import DataError, did_you_mean
from pocketvae.numerics.normalization import normalized
from pocketvae.parsing import shortened
from pocketvae.vae_spec import DataKind, VaeSpec

# A row for each item: numbers `[N]` or `[N, D]`, or bytes.
Results: TypeAlias = Mapping[str, "npt.NDArray[Any] | list[bytes]"]
# Of columns in a schema of Spark.
_SPARK = {"f4": "float", "f8": "double", "i4": "int", "b1": "boolean"}
_RAGGED = "must hold lists of one length"


def check_columns(needed: Iterable[str], known: Iterable[Any]) -> None:
    """Checks that a table has the columns that are needed.

    Raises:
        DataError: it does not have one, or has several that are called so.
    """
    there = list(known)
    for name in needed:
        if there.count(name) > 1:
            raise DataError(f"there are {there.count(name)} columns {name!r}, and which is meant is not told")
        if name not in there:
            names = [str(name) for name in there]
            listed = shortened(", ".join(names)) or "none"
            raise DataError(f"there is no column {name!r}: {did_you_mean(name, names)}known: {listed}")


def items_of(cells: Sequence[Any], vae: VaeSpec, column: str) -> npt.NDArray[Any]:
    """Returns items as an encoder takes them, `[N, *input_shape]`.

    Args:
        cells: Numbers of one item each, in the unit of the user's data, flat or in the model's shape; pixels whole, or
            as bytes.
        vae: The interface of the model.
        column: Name of the column, for messages.

    Raises:
        DataError: an item has another shape or number of values, or values that the model does not take.
    """
    values = _rows(cells, vae.input_shape, column, _pixels if vae.data is DataKind.IMAGE else _numbers)
    if vae.data is DataKind.IMAGE:
        return values.astype(np.uint8)
    rows = tuple(f"row {row}" for row in range(len(values)))
    return normalized(checked(values, Form.of(vae), repr(column), rows), vae.input_channels)


def latents_of(cells: Sequence[Any], vae: VaeSpec, column: str) -> npt.NDArray[np.float32]:
    """Returns latents `[N, D]`.

    Raises:
        DataError: one does not have the model's number of finite values.
    """
    latents = _rows(cells, vae.latent_shape, column, _numbers).reshape(-1, vae.latent_dim).astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(latents).all(axis=1))
    if len(wrong):
        found = shortened(latents[wrong[0]].tolist())
        raise DataError(f"row {wrong[0]} of {column!r} must hold finite numbers, got {found}")
    return latents


def labels_of(cells: Sequence[Any], vae: VaeSpec, column: str) -> npt.NDArray[np.int32]:
    """Returns classes `[N]`.

    Raises:
        DataError: one is none of the model's.
    """
    for row, cell in enumerate(cells):
        is_whole = np.ndim(cell) == 0 and np.asarray(cell).dtype.kind in "iu"
        if not is_whole or not 0 <= cell < vae.label_count:
            raise DataError(f"row {row} of {column!r} must be a class of 0 to {vae.label_count - 1}, got {cell!r}")
    return np.array(cells, np.int32)


def spark_schema(results: Results) -> str:
    """Returns the columns of results as Spark names their types: `z_mean array<float>, anomalous boolean`."""
    return ", ".join(f"{name} {_spark_type(values)}" for name, values in results.items())


def _spark_type(values: npt.NDArray[Any] | list[bytes]) -> str:
    if isinstance(values, list):
        return "binary"
    name = _SPARK[values.dtype.str[1:]]
    return name if values.ndim == 1 else f"array<{name}>"


def _rows(
    cells: Iterable[Any], shape: tuple[int, ...], column: str, read: Callable[[Any], npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    """Returns the numbers of all cells, `[N, *shape]`, each as `read` takes it."""
    rows = []
    for index, cell in enumerate(cells):
        try:
            row = read(cell)
            _check_shape(row.shape, shape)
        except ValueError as e:
            raise DataError(f"row {index} of {column!r} {e}") from e
        rows.append(row.reshape(shape))
    return np.stack(rows)


def _check_shape(found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Checks that a cell is flat or nested as the model's shape, which may lack its channel where there is but one."""
    expected = int(np.prod(shape))
    # Nested otherwise, the same number of values would be another item: an image of 14x56 is none of 28x28.
    if len(found) > 1 and found not in (shape, shape[:-1] if shape[-1] == 1 else shape):
        nested = f"of shape {_text(shape)}, or " if len(shape) > 1 else ""
        raise ValueError(f"must be {nested}flat with {expected} numbers, got the shape {_text(found)}")
    if (count := int(np.prod(found))) != expected:
        raise ValueError(f"must hold {expected} numbers ({_text(shape)}), got {count}")


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _numbers(cell: Any) -> npt.NDArray[Any]:
    """Returns the numbers of a cell in the shape in which it nests them."""
    try:
        array = np.asarray(cell)
    except ValueError as e:
        raise ValueError(_RAGGED) from e
    if array.dtype == object and array.ndim:  # arrays of arrays, as pandas and Arrow nest them
        parts = [_numbers(part) for part in array]
        if len({part.shape for part in parts}) > 1:
            raise ValueError(_RAGGED)
        array = np.stack(parts) if parts else np.empty(0)
    if array.dtype.kind not in "iufb":
        raise ValueError(f"must hold numbers, got {type(cell).__name__}")
    return array


def _pixels(cell: Any) -> npt.NDArray[Any]:
    if isinstance(cell, bytes | bytearray | memoryview):
        return np.frombuffer(cell, np.uint8)
    pixels = _numbers(cell)
    if pixels.size and pixels.dtype.kind not in "iu":
        missing = " with NaN, as of a missing value" if pixels.dtype.kind == "f" and np.isnan(pixels).any() else ""
        allowed = "of an integer type or as bytes (no floats, not even whole ones)"
        raise ValueError(f"must hold pixels {allowed}, got {pixels.dtype}{missing}")
    if pixels.size and not 0 <= pixels.min() <= pixels.max() <= 255:
        raise ValueError(f"must hold pixels of 0 to 255, got {pixels.dtype} from {pixels.min()} to {pixels.max()}")
    return pixels
