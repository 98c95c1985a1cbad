"""The original in double precision: how far the rounding of its own sums in float32 moves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.export.convert.plain_graphs import callable_of, plain
from pocketvae.keras.io import import_tensorflow

Arrays = Mapping[str, npt.NDArray[Any]]


def in_doubles(apply: Callable[[Mapping[str, Any]], dict[str, Any]], samples: Sequence[Arrays]) -> list[Any] | None:
    """Returns what a function of TensorFlow, from arrays by name to arrays by name, returns in double precision.

    Args:
        apply: The function.
        samples: What it takes, all of the same shapes.

    Returns:
        The outputs of each sample by name; None where an operator does not have double precision.
    """
    try:
        function, keys = _traced(apply, samples[0])
        found = []
        # The optimizer makes copies of the constants, which are the weights.
        with without_optimizer():
            for arrays in samples:
                given = [_wide(arrays[name]) for name in sorted(arrays)]
                found.append({key: np.asarray(value) for key, value in zip(keys, function(*given), strict=True)})
    except Exception:  # TensorFlow raises many types for an operator without a kernel for doubles.
        return None
    return found


@contextmanager
def without_optimizer() -> Iterator[None]:
    """Has functions that run for the first time run operator by operator, as they were traced."""
    options = import_tensorflow().config.optimizer
    before = options.get_experimental_options().get("disable_meta_optimizer", False)
    options.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        options.set_experimental_options({"disable_meta_optimizer": before})


def _traced(apply: Callable[[Mapping[str, Any]], dict[str, Any]], sample: Arrays) -> tuple[Any, list[str]]:
    """Returns the function in double precision, and the names of its outputs; nothing else of the weights is kept."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    tf = import_tensorflow()
    specs = {name: tf.TensorSpec(values.shape, values.dtype) for name, values in sample.items()}
    concrete = tf.function(apply, autograph=False).get_concrete_function(specs)
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    definition = plain(frozen.graph.as_graph_def())
    names = [[item.name for item in items] for items in (frozen.inputs, frozen.outputs)]
    keys = sorted(concrete.structured_outputs)
    del concrete, frozen
    _double(definition)
    inside = callable_of(definition, *names)
    del definition
    given = [tf.TensorSpec(sample[name].shape, _wide(sample[name]).dtype) for name in sorted(sample)]
    return tf.function(inside, autograph=False).get_concrete_function(*given), keys


def _wide(values: npt.NDArray[Any]) -> Any:
    tf = import_tensorflow()
    return tf.constant(values.astype(np.float64) if values.dtype == np.float32 else values)


def _double(definition: Any) -> None:
    """Makes every float32 of a frozen graph a float64, in place."""
    tf = import_tensorflow()
    old, new = tf.float32.as_datatype_enum, tf.float64.as_datatype_enum
    for attribute in _attributes(definition):
        if attribute.type == old:
            attribute.type = new
        if attribute.HasField("tensor") and attribute.tensor.dtype == old:
            attribute.tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(attribute.tensor).astype(np.float64)))
        for place, kind in enumerate(attribute.list.type):
            if kind == old:
                attribute.list.type[place] = new
    for function in definition.library.function:
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            if argument.type == old:
                argument.type = new


def _attributes(definition: Any) -> Iterator[Any]:
    bodies = [definition.node, *(function.node_def for function in definition.library.function)]
    for nodes in bodies:
        for node in nodes:
            yield from node.attr.values()
