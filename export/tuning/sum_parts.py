"""The sum of residual branches in front of the last layer, with its terms and itself in parts of 8 bits.

Each term of a residual sum is rounded to 8 bits, and so is the sum. Behind the last sum there is one layer, which
passes most of that on to the output. In parts, the layers that make the terms have their range divided among copies of
their channels, as `output_parts` does for logits; they are added in float, and the last layer is given the sum in a
coarse and a fine part, as `latent_parts` does for a latent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pocketvae.export.rewrites.frozen import FrozenGraph
from pocketvae.export.tuning.latent_parts import give_parts
from pocketvae.export.tuning.names import FLOAT_SCOPE
from pocketvae.export.tuning.output_parts import add_parts, is_before_head
from pocketvae.export.tuning.samples import Inputs, value_ranges
from pocketvae.export.tuning.shares import LEVELS, Place, best_shares
from pocketvae.export.tuning.weighted import Weighted, is_mover, weighted_layers
from pocketvae.keras.io import import_tensorflow

_SUMS = frozenset({"Add", "AddV2"})


@dataclass(frozen=True, kw_only=True)
class _LastSum:
    """A residual sum that the last layer reads.

    Attributes:
        layer: The last layer.
        value: The sum, behind its ReLU where it has one; the layer reads it, moved at the most.
        sum: The operator that adds the last two terms.
        terms: The layers that make the terms.
    """

    layer: Weighted
    value: Any
    sum: Any
    terms: tuple[Weighted, ...]

    @property
    def tensors(self) -> tuple[Any, ...]:
        """What is given in parts: the terms and what the last layer reads."""
        return (*(term.tail.end for term in self.terms), self.layer.data)


def split_sums(graph: FrozenGraph, samples: Inputs, parts: int) -> tuple[FrozenGraph, int]:
    """Returns the graph with the sums before its last layers in parts, and how many these are.

    Args:
        graph: Is not changed.
        samples: Calibration samples, input name to `[N, ...]`; they tell to what share of its range a term is clipped.
        parts: Number of parts of each term.

    Raises:
        FloatingPointError: a value is not finite.
    """
    items = list(_last_sums(graph))
    tensors = {tensor.name: tensor for item in items for tensor in item.tensors}
    if not items:
        return graph, 0
    ranges = dict(zip(tensors, value_ranges(graph, list(tensors.values()), samples), strict=True))
    # A term that is always the same has no range to part.
    found = [item for item in items if all(np.ptp(ranges[tensor.name]) > 0 for tensor in item.tensors)]
    if not found:
        return graph, 0
    terms = {term.operator.name: term for item in found for term in item.terms}
    places = []
    for term in terms.values():
        low, high = ranges[term.tail.end.name]
        places.append(Place(tensor=term.tail.end.name, low=low, high=high, levels=LEVELS * parts))
    shares = best_shares(graph, places, samples)
    tf, replacements = import_tensorflow(), {}
    with graph.graph.as_default():
        for term, place, share in zip(terms.values(), places, shares, strict=True):
            with tf.name_scope(term.name):
                limits = place.low * share, place.high * share
                replacements[term.tail.end.name] = add_parts(term, parts, limits)
        for item in found:
            low, high = ranges[item.layer.data.name]
            with tf.name_scope(item.layer.name):
                with tf.name_scope(FLOAT_SCOPE):
                    value = _add(item.sum.outputs[0])
                    value = tf.nn.relu(value) if item.value.op.type == "Relu" else value
                replacements[item.value.name] = value
                # It reads the old value, which is replaced.
                given = give_parts(item.layer, item.layer.data, max(-low, high))
                replacements[item.layer.operator.outputs[0].name] = given
    return graph.replaced(replacements), len(found)


def _add(tensor: Any) -> Any:
    """Adds a sum again, so that it is computed in float."""
    if tensor.op.type not in _SUMS:
        return tensor
    return import_tensorflow().add(*map(_add, tensor.op.inputs), name="sum")


def _last_sums(graph: FrozenGraph) -> Iterator[_LastSum]:
    ends = {layer.tail.end.name: layer for layer in weighted_layers(graph, frozenset())}
    for layer in weighted_layers(graph, frozenset()):
        if not is_before_head(graph, layer):
            continue
        value = layer.data
        while is_mover(value.op):
            value = value.op.inputs[0]
        operator = value.op.inputs[0].op if value.op.type == "Relu" else value.op
        terms = _terms(graph, operator, ends) if operator.type in _SUMS else None
        if terms:
            yield _LastSum(layer=layer, value=value, sum=operator, terms=tuple(terms))


def _terms(graph: FrozenGraph, operator: Any, ends: dict[str, Weighted]) -> list[Weighted] | None:
    """Returns the layers whose values, moved at the most, a sum of any number of terms adds; None if others are."""
    found = []
    for tensor in operator.inputs:
        if graph.constant(tensor) is not None:
            return None
        if tensor.op.type in _SUMS and tensor.name not in ends:
            inner = _terms(graph, tensor.op, ends)
            if inner is None:
                return None
            found += inner
            continue
        while tensor.name not in ends and is_mover(tensor.op):
            tensor = tensor.op.inputs[0]
        if tensor.name not in ends:
            return None
        found.append(ends[tensor.name])
    return found
