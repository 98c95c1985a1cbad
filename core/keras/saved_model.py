"""The operators of a SavedModel, read from its file without TensorFlow, and those of them that do more than compute.

TensorFlow runs parts of a SavedModel while it loads it, so they are found before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pocketvae.errors import ExportError, ManifestError
from pocketvae.formats.onnx.metadata import Field, fields
from pocketvae.parsing import shortened

FILE = "saved_model.pb"
# Field numbers of TensorFlow's saved_model.proto, meta_graph.proto, graph.proto, function.proto and node_def.proto.
_META_GRAPHS = 2
_GRAPH, _COLLECTIONS, _SIGNATURES, _OBJECTS = 2, 4, 5, 7
_NODE, _LIBRARY = 1, 2
_FUNCTION = 1
_SIGNATURE, _FUNCTION_NODE = 1, 3
_NAME, _OPERATOR, _INPUT = 1, 2, 3

# Operators that reach files, other machines, other processes or Python, or end this process. Some take a file's name
# as an attribute: a candidate sampler its vocabulary, protocol buffers their description, a constant its memory.
_IMPURE = re.compile(
    "Abort|BigQuery|Checkpoint|Collective|^Copy(Host)?$|Dataset|Debug|DecodeProto|Distributed|EncodeProto|File|"
    "FixedUnigram|Grpc|ImmutableConst|ImportEvent|Infeed|Iterator|Kafka|LMDB|LoadAndRemap|Nccl|Outfeed|PrintV2|PyFunc|"
    "Reader|Record|Recv|Remote|Restore|Rpc|Save|Send|Session|Snapshot|Sql|Summary|TPU|VocabRemapping|Worker"
)
# These only rebuild a model's variables, where TensorFlow put them itself.
_SAVERS = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})
_SAVER_FUNCTION = re.compile(rb"__inference_+_?traced_(save|restore)_\d+")
_SAVER_NODE = re.compile(rb"\^?save(_\d+)?/")
_MENTIONED_SAVER_NODE = re.compile(rb"(?<![\w/])\^?save(_\d+)?/")
# All random operators of TensorFlow have one of these in their names.
RANDOM = ("Random", "Multinomial", "TruncatedNormal", "SampleDistortedBoundingBox")


@dataclass(frozen=True, kw_only=True)
class _Node:
    name: bytes
    operators: tuple[bytes, ...]
    inputs: tuple[bytes, ...]


def impure_operators(folder: Path) -> tuple[str, ...]:
    """Returns the operators of a SavedModel that do more than compute: read or write files, or run Python.

    Args:
        folder: The folder that holds `saved_model.pb`.

    Raises:
        ExportError: the file is damaged.
    """
    try:
        content = (folder / FILE).read_bytes()
        graphs = [field.value for field in fields(content) if field.number == _META_GRAPHS]
        found = [name for graph in graphs for name in _of_meta_graph(graph, alone=len(graphs) == 1)]
    except (OSError, ManifestError) as e:
        raise ExportError(f"{folder} is not a SavedModel or is damaged: {FILE} cannot be read") from e
    return tuple(sorted({shortened(name.decode("utf-8", errors="replace"), 60) for name in found}))


def may_draw(folder: Path) -> bool:
    """Whether a SavedModel has random operators, such as those of a sampling."""
    content = (folder / FILE).read_bytes()
    return any(word.encode() in content for word in RANDOM)


def _of_meta_graph(content: bytes, *, alone: bool) -> Iterator[bytes]:
    parts = list(fields(content))
    graph = [field for part in parts if part.number == _GRAPH for field in fields(part.value)]
    nodes = [_node(field) for field in graph if field.number == _NODE]
    functions = [
        item.value
        for library in graph
        if library.number == _LIBRARY
        for item in fields(library.value)
        if item.number == _FUNCTION
    ]
    objects = [part.value for part in parts if part.number == _OBJECTS]
    # With a graph of objects TensorFlow 2 runs functions only; without one it runs the nodes themselves.
    if objects and alone:
        yield from _of_nodes(nodes, savers_allowed=True)
    else:
        entries = [part.value for part in parts if part.number in (_COLLECTIONS, _SIGNATURES)]
        yield from _of_nodes(nodes, savers_allowed=_savers_stand_apart(nodes, entries))
    yield from _of_functions(functions, objects)


def _of_functions(functions: list[bytes], objects: list[bytes]) -> Iterator[bytes]:
    names = [_function_name(content) for content in functions]
    savers = [name for name in names if _SAVER_FUNCTION.fullmatch(name)]
    others = [content for content, name in zip(functions, names, strict=True) if name not in savers]
    called = {name for name in savers if any(name in content for content in (*others, *objects))}
    for content, name in zip(functions, names, strict=True):
        nodes = [_node(field) for field in fields(content) if field.number == _FUNCTION_NODE]
        yield from _of_nodes(nodes, savers_allowed=name in savers and name not in called)


def _of_nodes(nodes: list[_Node], *, savers_allowed: bool) -> Iterator[bytes]:
    for node in nodes:
        for operator in node.operators:
            name = operator.decode("utf-8", errors="replace")
            if _IMPURE.search(name) and not (savers_allowed and name in _SAVERS):
                yield operator


def _savers_stand_apart(nodes: list[_Node], entries: list[bytes]) -> bool:
    """Whether nothing but the nodes of a TensorFlow 1 saver reads what they make."""
    for node in nodes:
        if _SAVER_NODE.match(node.name):
            continue
        if set(node.operators) & {name.encode() for name in _SAVERS} or any(map(_SAVER_NODE.match, node.inputs)):
            return False
    return not any(_MENTIONED_SAVER_NODE.search(entry) for entry in entries)


def _function_name(content: bytes) -> bytes:
    names = [
        part.value
        for field in fields(content)
        if field.number == _SIGNATURE
        for part in fields(field.value)
        if part.number == _NAME
    ]
    return names[-1] if names else b""


def _node(field: Field) -> _Node:
    parts = list(fields(field.value))
    names = [part.value for part in parts if part.number == _NAME]
    return _Node(
        name=names[-1] if names else b"",
        operators=tuple(part.value for part in parts if part.number == _OPERATOR),
        inputs=tuple(part.value for part in parts if part.number == _INPUT),
    )
