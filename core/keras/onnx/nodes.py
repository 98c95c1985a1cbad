"""Nodes of an ONNX graph as operators read them: attributes, and inputs that may be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.keras.onnx.tensors import Value

Operator = Callable[["Node"], "Value | list[Value]"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node with its inputs as tensors.

    Attributes:
        kind: Its operator.
        name: Its name, for errors.
        inputs: One for each place; None where it is left out.
        attributes: By name.
        output_count: Number of its outputs.
    """

    kind: str
    name: str
    inputs: Sequence[Value | None]
    attributes: Mapping[str, Any]
    output_count: int = 1

    def input(self, place: int = 0) -> Value:
        """Returns an input that must be there.

        Raises:
            ExportError: it is not.
        """
        found = self.given(place)
        if found is None:
            raise ExportError(f"the ONNX operator {self.kind} ({self.name}) must have an input {place}")
        return found

    def given(self, place: int) -> Value | None:
        """Returns an input; None where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def constant(self, place: int) -> npt.NDArray[Any] | None:
        """Returns the values of an input that is a setting; None where it is left out.

        Raises:
            ExportError: its values depend on the model's inputs.
        """
        found = self.given(place)
        if found is None:
            return None
        if not found.is_constant:
            raise ExportError(
                f"the ONNX operator {self.kind} ({self.name}) must have constant settings, but its input {place} is "
                f"computed"
            )
        return found.array()

    def numbers(self, place: int) -> list[int]:
        """Returns a setting that must be there, as integers."""
        found = self.constant(place)
        if found is None:
            raise self.unsupported(f"without its input {place}")
        return [int(number) for number in np.reshape(found, -1)]

    def get(self, name: str, default: Any = None) -> Any:
        """Returns an attribute."""
        found = self.attributes.get(name, default)
        return found.decode("utf-8") if isinstance(found, bytes) else found

    def unsupported(self, what: str) -> ExportError:
        """Returns the error for a form that has no counterpart in TensorFlow."""
        return ExportError(f"pocketvae does not support the ONNX operator {self.kind} {what} ({self.name})")
