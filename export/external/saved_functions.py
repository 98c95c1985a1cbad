"""The functions of a SavedModel: its signature, and those of the objects that it holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.external.saved_graph import SavedGraph, saved_graph
from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.loading import open_model

Array = npt.NDArray[Any]
# How far a part may be from the whole, as a share of the largest value.
_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class SavedFunction:
    """A function of a SavedModel: the tensors that it takes, the sizes of what it returns, and its call."""

    name: str
    inputs: tuple[Any, ...]
    returned: tuple[tuple[int | None, ...], ...]
    call: Callable[[Sequence[Any]], Mapping[str, Any]]

    @property
    def taken(self) -> tuple[int | None, ...]:
        """The sizes of its main input."""
        return max((sizes_of_spec(spec) for spec in self.inputs), key=lambda size: (len(size), value_count(size)))

    def graph(self) -> SavedGraph:
        """Returns it as a graph."""
        tf = import_tensorflow()
        keys: list[str] = []

        def call(*values: Any) -> list[Any]:
            made = self.call(values)
            keys[:] = made
            return [tf.identity(value) for value in made.values()]

        concrete = tf.function(call, input_signature=self.inputs, autograph=False).get_concrete_function()
        return saved_graph(concrete, [spec.name for spec in self.inputs], keys)


def signature_of(function: Any) -> SavedFunction:
    """Returns a signature as a function."""
    inputs = dict(sorted(function.structured_input_signature[1].items()))
    outputs = sorted(function.structured_outputs)
    return SavedFunction(
        name="",
        inputs=tuple(_named(spec, name) for name, spec in inputs.items()),
        returned=tuple(sizes_of_spec(function.structured_outputs[name]) for name in outputs),
        call=lambda values: _ordered(function(**dict(zip(inputs, values, strict=True))), outputs),
    )


def _ordered(made: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: made[name] for name in names}


def functions_of(name: str, held: Any) -> Iterator[SavedFunction]:
    """Yields what an object of a SavedModel computes outside of training, if it is a function of tensors."""
    tf = import_tensorflow()
    function: Any = held if hasattr(held, "concrete_functions") else getattr(held, "__call__", None)  # noqa: B004
    for concrete in getattr(function, "concrete_functions", ()):
        given = concrete.structured_input_signature
        flat = tf.nest.flatten(given)
        places = [place for place, value in enumerate(flat) if isinstance(value, tf.TensorSpec)]
        ranks = [flat[place].shape.rank for place in places]
        if not places or None in ranks or any(value is True for value in flat):
            continue
        specs = [_named(flat[place], flat[place].name or f"input_{place}") for place in places]
        returned = [spec for spec in tf.nest.flatten(concrete.structured_outputs) if hasattr(spec, "shape")]
        if any(spec.shape.rank is None for spec in returned) or len({spec.name for spec in specs}) < len(specs):
            continue

        def call(values: Sequence[Any], flat: Any = flat, places: Any = places, given: Any = given) -> dict[str, Any]:
            filled = dict(zip(places, values, strict=True))
            arguments = [filled.get(place, value) for place, value in enumerate(flat)]
            args, kwargs = tf.nest.pack_sequence_as(given, arguments)
            made = function(*args, **kwargs)
            if isinstance(made, Mapping):
                return {str(key): made[key] for key in sorted(made)}
            return {f"output_{place}": value for place, value in enumerate(tf.nest.flatten(made))}

        yield SavedFunction(name=name, inputs=tuple(specs), returned=tuple(map(sizes_of_spec, returned)), call=call)
        return


def value_count(sizes: Sequence[int | None]) -> int:
    """Returns how many values a shape holds; an open size counts as 1."""
    return math.prod(size or 1 for size in sizes)


def sizes_of_spec(spec: Any) -> tuple[int | None, ...]:
    """Returns the shape of one sample."""
    return tuple(spec.shape.as_list()[1:])


def _named(spec: Any, name: str) -> Any:
    return import_tensorflow().TensorSpec(spec.shape, spec.dtype, name=name.split(":")[0])


def alike(a: Array, b: Array) -> bool:
    """Whether two arrays agree but for rounding."""
    scale = max(1.0, float(np.abs(a).max(initial=0)))
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= _TOLERANCE * scale)


def call_part(path: Path, values: Mapping[str, Array]) -> dict[str, Array]:
    """Runs a SavedModel with one signature on values by name, of which it may need some only."""
    opened = open_model(path)
    made = opened.call([values[tensor.name] for tensor in opened.inputs])
    return {tensor.name: np.asarray(value) for tensor, value in zip(opened.outputs, made, strict=True)}
