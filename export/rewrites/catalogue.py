"""The catalogue of rewrites by name, and their application to a component's graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pocketvae.export.convert.graphs import Graph, function_of
from pocketvae.export.rewrites import folding, narrow, normalization, upsampling
from pocketvae.export.rewrites.frozen import FrozenGraph, freeze
from pocketvae.export.rewrites.names import Rewrite, Step
from pocketvae.keras.io import import_tensorflow

_UPSAMPLINGS = {
    Rewrite.TRANSPOSED_CONVOLUTION: upsampling.find_transposed,
    Rewrite.RESIZE_CONVOLUTION: upsampling.find_resized,
    Rewrite.DEPTH_TO_SPACE: upsampling.find_shuffled,
}
_OTHERS = {
    Rewrite.NARROW_CONVOLUTION: narrow.rewrite,
    Rewrite.BATCH_NORMALIZATION: folding.rewrite,
    Rewrite.GROUP_NORMALIZATION: normalization.rewrite,
}


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """A graph and how many places of it each step changed, in the order of the steps."""

    graph: Graph
    places: tuple[int, ...]


def apply_steps(graph: Graph, steps: Sequence[Step]) -> Rewritten:
    """Returns the graph with steps done one after the other; the same graph where they find nothing."""
    frozen, places = freeze(graph.function), []
    for step in sorted(steps, key=lambda step: list(Rewrite).index(step.rewrite)):
        frozen, count = _apply(frozen, step)
        places.append(count)
    if not any(places):
        return Rewritten(graph=graph, places=tuple(places))
    return Rewritten(graph=as_graph(frozen, graph), places=tuple(places))


def _apply(frozen: FrozenGraph, step: Step) -> tuple[FrozenGraph, int]:
    if step.rewrite in _UPSAMPLINGS:
        return upsampling.rewrite(frozen, _UPSAMPLINGS[step.rewrite], step.form)
    return _OTHERS[step.rewrite](frozen)


def as_graph(frozen: FrozenGraph, stock: Graph) -> Graph:
    """Returns an edited graph with the interface of the one that it was made of."""
    tf = import_tensorflow()
    call = frozen.function()
    names = sorted(stock.function.get_concrete_function().structured_outputs)

    def apply(**values: Any) -> dict[str, Any]:
        return dict(zip(names, call(*values.values()), strict=True))

    return Graph(
        function=function_of(apply, stock.inputs),
        model=tf.Module(),
        inputs=stock.inputs,
        fused_shuffles=stock.fused_shuffles,
    )
