"""One order of operators for one network: the converter's quantizer has none.

Where several outputs of one operator go on in float, such as the parts of a SPLIT, TensorFlow 2.21's quantizer writes
their DEQUANTIZE operators in another order each time that it is called. The file computes the same, but its hash, which
recipes and caches of results go by, is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pocketvae.formats.tflite.editing import redirect
from pocketvae.formats.tflite.model import operator_name, read_model, view_model, write_model

_STEPS = frozenset({"QUANTIZE", "DEQUANTIZE"})


def in_one_order(content: bytes) -> bytes:
    """Returns a file of the quantizer whose neighbouring changes of type follow the order of what they read."""
    # What is in order already is written anew too: the converter lays the same file out in other bytes.
    if all(len(run) == 1 for run in _runs(view_model(content))):
        return content
    model = read_model(content)
    graph = model.subgraphs[0]
    moved: dict[int, int] = {}
    for run in list(_runs(model)):
        moved |= _ordered(graph, run)
    redirect(graph, moved)
    graph.outputs = [moved.get(int(index), int(index)) for index in graph.outputs]
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = moved.get(int(entry.tensorIndex), int(entry.tensorIndex))
    return write_model(model)


def _runs(model: Any) -> Iterator[list[Any]]:
    """Yields the operators of each row of neighbours that change types the same way and do not read each other."""
    run: list[Any] = []
    for operator in model.subgraphs[0].operators:
        made = {int(other.outputs[0]) for other in run}
        if run and (operator.opcodeIndex != run[0].opcodeIndex or int(operator.inputs[0]) in made):
            yield run
            run = []
        if operator_name(model, operator) in _STEPS:
            run.append(operator)
    if run:
        yield run


def _ordered(graph: Any, run: list[Any]) -> dict[int, int]:
    """Puts a row of operators in order, with tensors that are numbered and named in that order; returns what moved."""
    before = [int(operator.outputs[0]) for operator in run]
    names = {index: graph.tensors[index].name for index in before}
    tensors = {index: graph.tensors[index] for index in before}
    by_input = sorted(run, key=lambda operator: int(operator.inputs[0]))
    places = iter([place for place, operator in enumerate(graph.operators) if any(operator is one for one in run)])
    moved = {}
    for operator, index in zip(by_input, sorted(before), strict=True):
        moved[int(operator.outputs[0])] = index
        graph.tensors[index] = tensors[int(operator.outputs[0])]
        graph.tensors[index].name = names[index]
        operator.outputs = [index]
        graph.operators[next(places)] = operator
    return moved
