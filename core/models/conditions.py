"""What callers pass for a VAE's conditions, checked and with one value per sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, SpecError
from pocketvae.numerics.arrays import as_array
from pocketvae.vae_spec import Condition

# The value of the only condition, or one for each condition by name.
Given: TypeAlias = npt.ArrayLike | Mapping[str, npt.ArrayLike]


def condition_inputs(
    name: str, taken: Sequence[Condition], given: Given | None, count: int
) -> dict[str, npt.NDArray[Any]]:
    """Returns the inputs of a model for its conditions, `[count, ...]` by name.

    Args:
        name: Of the model, for messages.
        taken: The conditions that it takes.
        given: By the caller.
        count: Number of samples.

    Raises:
        SpecError: a condition is missing, superfluous, of another shape or out of range.
    """
    if not taken:
        if given is not None:
            raise SpecError(f"{name} does not take a label: this VAE is not class-conditional")
        return {}
    if given is None and len(taken) == 1 and taken[0].is_label:
        raise SpecError(f"{name} needs a label of 0 to {taken[0].count - 1}: this VAE is class-conditional")
    alone = {taken[0].name: given} if len(taken) == 1 and given is not None else {}
    values = given if isinstance(given, Mapping) else alone
    if given is None or set(values) != {condition.name for condition in taken}:
        needed = ", ".join(f"{condition.name} ({condition.values})" for condition in taken)
        raise SpecError(f"{name} takes conditions by name: {needed}; got {', '.join(values) or 'no names'}")
    return {condition.name: _value(condition, values[condition.name], count) for condition in taken}


def _value(condition: Condition, given: Any, count: int) -> npt.NDArray[Any]:
    if condition.is_label:
        return _labels(condition, given, count)
    array = _as_array(condition, given)
    if array.dtype.kind not in "iuf" or array.shape not in (condition.shape, (count, *condition.shape)):
        shape = ", ".join(map(str, condition.shape))
        raise SpecError(f"{condition.name} must be [{shape}] or [N, {shape}] real numbers, got {list(array.shape)}")
    with np.errstate(over="ignore"):
        real = array.astype(np.float32)
    if not np.isfinite(real).all():
        found = np.count_nonzero(~np.isfinite(real))
        raise SpecError(f"{condition.name} must be finite as float32, got {found} that are not")
    return np.broadcast_to(real, (count, *condition.shape)).copy()


def _as_array(condition: Condition, given: Any) -> npt.NDArray[Any]:
    try:
        return as_array(condition.name, given)
    except DataError as e:
        raise SpecError(str(e)) from e


def _labels(condition: Condition, given: Any, count: int) -> npt.NDArray[np.int32]:
    array = _as_array(condition, given)
    whole = array.dtype.kind in "iu" and array.shape in ((), (count,))
    if not whole or array.size == 0 or array.min() < 0 or array.max() >= condition.count:
        raise SpecError(
            f"{condition.name} must be one integer from 0 to {condition.count - 1}, or one per sample, got {given!r}"
        )
    return np.broadcast_to(array, (count,)).astype(np.int32)
