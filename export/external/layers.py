"""What the layers of a user-supplied model show: tables behind an input, and layers over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pocketvae.export.external.flat_graph import FlatGraph, flatten, layer_of
from pocketvae.keras.loading import OpenModel
from pocketvae.keras.model_form import Flavour
from pocketvae.keras.onnx.model import OnnxModel

# Layers that leave a label what it is.
_PASSING = frozenset({"Cast", "Flatten", "Reshape", "Identity", "Lambda", "InputLayer", "Squeeze", "ExpandDims"})
_OVER_TIME = frozenset(
    {"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed", "RepeatVector", "MultiHeadAttention"}
)


def graph_of(opened: OpenModel) -> FlatGraph | None:
    """Returns the graph of layers; None if the model does not show them."""
    if opened.flavour is Flavour.SAVED_MODEL:
        return None
    try:
        return flatten(opened.model, opened.flavour)
    except Exception:  # A layer with code of its own may raise anything when it is called again.
        return None


def known_counts(opened: OpenModel, indices: Sequence[int]) -> list[set[int]]:
    """Returns how many integers each input may be, as every embedding or encoding behind it says; none if none does.

    Args:
        opened: A decoder.
        indices: Of the inputs.
    """
    if isinstance(opened.model, OnnxModel):
        return [opened.model.table_sizes(opened.inputs[index].name) for index in indices]
    graph = graph_of(opened) if indices else None
    return [set(_table_sizes(graph, graph.inputs[index])) if graph else set() for index in indices]


def _table_sizes(graph: FlatGraph, tensor: Any) -> Iterator[int]:
    """Yields the number of classes that each layer behind a label knows: an embedding's, or an encoding's."""
    for made in graph.consumers(tensor):
        layer = layer_of(made)
        size = getattr(layer, "input_dim", None) or getattr(layer, "num_tokens", None)
        if size:
            yield int(size)
        elif type(layer).__name__ in _PASSING:
            yield from _table_sizes(graph, made)


def has_steps(opened: OpenModel) -> bool:
    """Whether layers over time, such as convolutions of one dimension, are in a model, or may be."""
    graph = graph_of(opened)
    names = [type(layer_of(tensor)).__name__ for tensor in graph.tensors()] if graph else ["1D"]
    return any("1D" in name or name in _OVER_TIME for name in names)
