"""The subgraphs of a TFLite file that its main one runs: branches, loops, and what these run in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pocketvae.formats.tflite.model import read_model, view_model, write_model
from pocketvae.formats.tflite.operators import Operator, operators_of
from pocketvae.formats.tflite.unread import without_unread

# Of operators' options, the fields that hold the number of a subgraph, or several.
_FIELDS = (
    "bodySubgraphIndex",
    "branchSubgraphIndices",
    "comparatorSubgraphIndex",
    "condSubgraphIndex",
    "decompositionSubgraphIndex",
    "elseSubgraphIndex",
    "initSubgraphIndex",
    "subgraph",
    "thenSubgraphIndex",
    "updateComputationSubgraphIndex",
)


def read_run_operators(content: bytes) -> tuple[Operator, ...]:
    """Returns the operators of the main subgraph and of those that it runs; other batch sizes have their own.

    Raises:
        ManifestError: the file is damaged.
        TargetError: ai-edge-litert is not installed.
    """
    model = view_model(content)
    operators = operators_of(model)
    return tuple(operator for number in run_subgraphs(model) for operator in operators[number])


def run_subgraphs(model: Any) -> list[int]:
    """Returns the numbers of the main subgraph, 0, and of those that it runs, in the order of the file."""
    found, ahead = {0}, [0]
    while ahead:
        graph = model.subgraphs[ahead.pop()]
        called = {number for _, _, numbers in _calls(graph) for number in numbers}
        # What is no number of a subgraph stands for none.
        new = {number for number in called if 0 <= number < len(model.subgraphs)} - found
        found |= new
        ahead.extend(new)
    return sorted(found)


def with_one_batch(content: bytes) -> bytes:
    """Returns a file without what its main subgraph does not run, such as other batch sizes; the same if it has none.

    Raises:
        ManifestError: the file is damaged.
        TargetError: ai-edge-litert is not installed.
    """
    model = read_model(content)
    if len(run_subgraphs(model)) == len(model.subgraphs):
        return content
    keep_run_subgraphs(model)
    return without_unread(write_model(model))


def keep_run_subgraphs(model: Any) -> None:
    """Drops the subgraphs that the main one does not run, with their signatures; their constants stay."""
    places = {old: new for new, old in enumerate(run_subgraphs(model))}
    model.subgraphs = [model.subgraphs[number] for number in places]
    for graph in model.subgraphs:
        for options, field, numbers in _calls(graph):
            moved = [places.get(number, number) for number in numbers]
            setattr(options, field, moved if field == "branchSubgraphIndices" else moved[0])
    kept = [item for item in model.signatureDefs or () if item.subgraphIndex in places]
    for signature in kept:
        signature.subgraphIndex = places[signature.subgraphIndex]
    model.signatureDefs = kept or None


def _calls(graph: Any) -> Iterator[tuple[Any, str, list[int]]]:
    """Yields the options, the field and the numbers of each place where a subgraph names others."""
    for operator in graph.operators:
        for options in (operator.builtinOptions, operator.builtinOptions2):
            for field in _FIELDS:
                value = getattr(options, field, None)
                if value is not None:
                    yield options, field, [int(number) for number in value] if hasattr(value, "__iter__") else [value]
