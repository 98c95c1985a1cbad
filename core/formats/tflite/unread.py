"""Leaving out what no part of a TFLite file reads any more: tensors and constants that edits have put out of use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pocketvae.formats.tflite.model import read_model, write_model


def without_unread(content: bytes) -> bytes:
    """Returns a file without tensors, constants and kinds of operators that nothing reads; the same where all are."""
    model = read_model(content)
    dropped = [_drop_tensors(model, number) for number in range(len(model.subgraphs))]
    dropped += [_drop_codes(model), _drop_buffers(model)]
    return write_model(model) if any(dropped) else content


def _drop_tensors(model: Any, number: int) -> bool:
    graph = model.subgraphs[number]
    entries = [
        entry
        for signature in model.signatureDefs or ()
        if signature.subgraphIndex == number
        for entry in (*(signature.inputs or ()), *(signature.outputs or ()))
    ]
    read = {*map(int, graph.inputs), *map(int, graph.outputs), *(int(entry.tensorIndex) for entry in entries)}
    for operator in graph.operators:
        for field in _FIELDS:
            read.update(map(int, _numbers(operator, field)))
    places = _places(len(graph.tensors), read)
    if len(places) == len(graph.tensors):
        return False
    graph.tensors = [graph.tensors[index] for index in places]
    graph.inputs = [places[int(index)] for index in graph.inputs]
    graph.outputs = [places[int(index)] for index in graph.outputs]
    for entry in entries:
        entry.tensorIndex = places[int(entry.tensorIndex)]
    for operator in graph.operators:
        for field in _FIELDS:
            if len(_numbers(operator, field)):
                # A number below 0 stands for an input that is left out.
                setattr(operator, field, [places.get(int(index), -1) for index in _numbers(operator, field)])
    return True


_FIELDS = ("inputs", "outputs", "intermediates")


def _numbers(operator: Any, field: str) -> Any:
    found = getattr(operator, field)
    return () if found is None else found


def _drop_codes(model: Any) -> bool:
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    places = _places(len(model.operatorCodes), (int(operator.opcodeIndex) for operator in operators))
    if len(places) == len(model.operatorCodes):
        return False
    model.operatorCodes = [model.operatorCodes[index] for index in places]
    for operator in operators:
        operator.opcodeIndex = places[int(operator.opcodeIndex)]
    return True


def _drop_buffers(model: Any) -> bool:
    """Drops constants; the first buffer, which is empty, stands for tensors that are computed."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    holders = [*tensors, *(model.metadata or ())]
    read = {0, *(int(holder.buffer) for holder in holders), *map(int, _listed(model.metadataBuffer))}
    places = _places(len(model.buffers), read)
    if len(places) == len(model.buffers):
        return False
    model.buffers = [model.buffers[index] for index in places]
    for holder in holders:
        holder.buffer = places[int(holder.buffer)]
    if model.metadataBuffer is not None:
        model.metadataBuffer = [places[int(index)] for index in model.metadataBuffer]
    return True


def _listed(values: Any) -> Iterable[int]:
    return () if values is None else values


def _places(count: int, read: Iterable[int]) -> dict[int, int]:
    """Returns the new place of each of `count` entries that is read, by its old one."""
    kept = {index for index in read if 0 <= index < count}
    return {old: new for new, old in enumerate(sorted(kept))}
