"""Loops over time: recurrent layers of few steps are unrolled, since loops have no integer form in TFLite."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.convert.plain_graphs import operators_of

# Of all recurrent layers together. Each becomes about a dozen operators.
MOST_STEPS = 64
_HAS_OWN_LOOP = "_could_use_gpu_kernel"
_TIME = 1
_LOOPS = frozenset({"While", "StatelessWhile"})


@contextlib.contextmanager
def unrolled(model: Any) -> Iterator[None]:
    """Lets the recurrent layers of a Keras model be traced without loops, if they take few steps together.

    The weights and the order of the operations stay, so the values do, too.

    Args:
        model: A Keras model or one that wraps it; anything else is left as it is.
    """
    found = list(_recurrent(_keras_model(model)))
    steps = [count for _, count in found]
    chosen = [layer for layer, _ in found if not layer.unroll] if None not in steps else []
    if sum(count or 0 for count in steps) > MOST_STEPS:
        chosen = []
    # LSTM and GRU of Keras 2 otherwise call a loop of their own, which has a form for GPUs.
    forced = [layer for layer in chosen if getattr(layer, _HAS_OWN_LOOP, False)]
    for layer in chosen:
        layer.unroll = True
    for layer in forced:
        setattr(layer, _HAS_OWN_LOOP, False)
    try:
        yield
    finally:
        for layer in chosen:
            layer.unroll = False
        for layer in forced:
            setattr(layer, _HAS_OWN_LOOP, True)


def refuse_loops(graph: Any) -> None:
    """Refuses a graph with loops where TFLite is to compute in integers: the converter ends by a signal on it.

    Args:
        graph: A graph of one component.

    Raises:
        ExportError: it has one.
    """
    if _LOOPS & operators_of(graph.function.get_concrete_function().graph.as_graph_def()):
        raise ExportError(
            f"TFLite cannot quantize activations inside a loop, which recurrent layers (LSTM, GRU) of more than "
            f"{MOST_STEPS} steps become: use dynamic_int8, or int8 in ONNX"
        )


def _keras_model(model: Any) -> Any:
    opened = getattr(model, "_opened", None)
    return model if opened is None else opened.model


def _recurrent(model: Any) -> Iterator[tuple[Any, int | None]]:
    """Yields the recurrent layers of a model, with those of models inside it, and how many steps each takes."""
    for layer in getattr(model, "layers", None) or ():
        parts = [getattr(layer, name, None) for name in ("forward_layer", "backward_layer")]
        inside = [part for part in parts if part is not None]
        for part in inside or [layer]:
            if hasattr(part, "unroll"):
                yield part, _steps(layer)
        yield from _recurrent(layer)


def _steps(layer: Any) -> int | None:
    nodes = getattr(layer, "_inbound_nodes", None)
    if not nodes:
        return None
    # Nodes of Keras 2 list their inputs as `keras_inputs`, those of Keras 3 as `input_tensors`.
    sources = list(getattr(nodes[-1], "keras_inputs", None) or nodes[-1].input_tensors)
    shape = tuple(sources[0].shape) if sources else ()
    return None if len(shape) <= _TIME or shape[_TIME] is None else int(shape[_TIME])
