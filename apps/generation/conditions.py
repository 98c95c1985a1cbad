"""The conditions that images are generated for: one value for all, or every class in turn."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import SpecError, unknown_name
from pocketvae.models.conditions import Given
from pocketvae.vae_spec import Condition, VaeSpec

EACH_LABEL = "each"


def check_conditions(vae: VaeSpec, label: int | str | None, named: Mapping[str, str]) -> None:
    """Checks that what is given fits the VAE.

    Args:
        vae: The interface of the VAE.
        label: The class of a VAE with one label, or `each`.
        named: Values by condition as text: numbers separated by commas, or `each` for the classes in turn.

    Raises:
        SpecError: a condition is missing, unknown or out of range.
    """
    if not vae.conditions:
        given = label if label is not None else next(iter(named), None)
        if given is not None:
            raise SpecError(f"the model does not take a label, got {given}: --label needs a class-conditional VAE")
        return
    if label is not None and not vae.has_one_label:
        raise SpecError(f"--label is for a VAE with one class label, but this one needs {_needed(vae)}")
    if label is not None and named:
        raise SpecError(f"--label and --condition {next(iter(named))} are the same label: give one of them")
    for name in named:
        if name not in [condition.name for condition in vae.conditions]:
            raise unknown_name("condition", name, [condition.name for condition in vae.conditions])
    if vae.has_one_label:
        _check_label(label if label is not None else named.get(vae.conditions[0].name), vae.label_count)
        return
    for condition in vae.conditions:
        if condition.name not in named:
            raise SpecError(f"the VAE is conditional: pass {_needed(vae)}")
        _value(condition, named[condition.name], np.zeros(1, np.int64))


def conditions_at(
    vae: VaeSpec, label: int | str | None, named: Mapping[str, str], index: npt.NDArray[np.int64]
) -> Given | None:
    """Returns the conditions of the images with these indices, as models take them; see `check_conditions`."""
    if vae.has_one_label and label is not None:
        named = {vae.conditions[0].name: str(label)}
    return {condition.name: _value(condition, named[condition.name], index) for condition in vae.conditions} or None


def _check_label(label: int | str | None, classes: int) -> None:
    if label is None:
        raise SpecError(f"the VAE is class-conditional: pass --label 0 to {classes - 1}, or --label {EACH_LABEL}")
    whole = re.fullmatch(r"-?[0-9]+", str(label))
    if label != EACH_LABEL and not (whole and 0 <= int(label) < classes):
        raise SpecError(f"label must be 0 to {classes - 1}, or {EACH_LABEL!r}, got {label}")


def _needed(vae: VaeSpec) -> str:
    options = " ".join(f"--condition {condition.name}={_example(condition)}" for condition in vae.conditions)
    return f"{options} ({'; '.join(f'{condition.name}: {condition.values}' for condition in vae.conditions)})"


def _example(condition: Condition) -> str:
    return "0" if condition.is_label else ",".join([f"{condition.range[1]:g}"] * math.prod(condition.shape))[:40]


def _value(condition: Condition, text: str, index: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    if condition.is_label and text == EACH_LABEL:
        return index % condition.count
    try:
        numbers = [int(word) if condition.is_label else float(word) for word in text.split(",")]
    except ValueError as e:
        raise SpecError(f"{condition.name} must be {condition.values}, got {text!r}") from e
    if condition.is_label:
        if len(numbers) != 1 or not 0 <= numbers[0] < condition.count:
            raise SpecError(f"{condition.name} must be {condition.values}, got {text!r}")
        return np.asarray(numbers[0], np.int64)
    if len(numbers) not in (1, math.prod(condition.shape)):
        raise SpecError(f"{condition.name} must be {condition.values}, got {len(numbers)}")
    return np.broadcast_to(np.asarray(numbers, np.float32), math.prod(condition.shape)).reshape(condition.shape)
