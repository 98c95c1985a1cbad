"""Arrays: of what callers pass, in groups, and compared without a copy of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError
from pocketvae.numerics.chunks import chunks
from pocketvae.parsing import shortened


def mean_square_error(values: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Returns the mean squared difference of `[N, ...]` in float64, whatever the types, some items at a time."""
    parts = chunks(len(values), values[:1].size)
    total = sum(float(np.square(values[part].astype(np.float64) - expected[part]).sum()) for part in parts)
    return total / values.size


def groups(numbers: npt.NDArray[np.integer[Any]]) -> list[npt.NDArray[np.intp]]:
    """Returns the indices of each group of equal numbers, in their order, by ascending number.

    Args:
        numbers: `[N]`.
    """
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []


def as_array(name: str, values: Any, dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """Returns numbers as an array; one that is an array of this type is itself.

    Args:
        name: Of the values, for errors.
        values: Numbers, nested as deeply as the array has dimensions.
        dtype: Of the array; that of the values by default.

    Raises:
        DataError: rows differ in length, or are no numbers.
    """
    try:
        return np.asarray(values, dtype)
    except (ValueError, TypeError) as e:
        raise DataError(
            f"{name} must be an array of numbers, all rows equally long, got {shortened(repr(values))}"
        ) from e
