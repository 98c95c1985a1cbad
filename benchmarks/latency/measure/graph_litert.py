"""The graph of a TFLite file in LiteRT: its operators, their work, and which of them the delegate runs.

LiteRT's interpreter only exposes its graph through methods with a leading underscore; this is the only module that
uses them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.benchmarks.latency.messages import Work
from pocketvae.benchmarks.latency.results import Execution
from pocketvae.errors import ParityError, missing_package
from pocketvae.system.quiet import quiet_stderr

_DELEGATE = "DELEGATE"
# Multiply-adds of one output value: the product of these dimensions of the weights, the second input.
_WEIGHTED = {"FULLY_CONNECTED": (1,), "CONV_2D": (1, 2, 3), "DEPTHWISE_CONV_2D": (1, 2)}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor of a graph."""

    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator, with the indices of its input and output tensors."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def examine(path: Path, threads: int) -> tuple[Execution, Work]:
    """Returns what runs a file when it is opened as in an app, and its work at the batch size of its first signature.

    Raises:
        ParityError: LiteRT cannot load it.
        TargetError: ai-edge-litert is not installed.
    """
    interpreter = open_interpreter(path.read_bytes(), threads)
    operators = [
        Operator(kind=op["op_name"], inputs=_known(op["inputs"]), outputs=_known(op["outputs"]))
        for op in interpreter._get_ops_details()
    ]
    plain = [op for op in operators if op.kind != _DELEGATE]
    used = {index for op in plain for index in (*op.inputs, *op.outputs)}
    tensors = {index: _tensor(interpreter, index) for index in used}
    taken = delegated(operators)
    execution = Execution(
        runtime=f"ai-edge-litert {version('ai-edge-litert')}",
        delegate="XNNPACK" if taken else "none",
        node_count=len(plain),
        delegated_count=len(taken),
        kernels=dict(sorted(Counter(op.kind for op in plain).items())),
        arena_bytes=None,
    )
    ends = [detail["index"] for detail in (*interpreter.get_input_details(), *interpreter.get_output_details())]
    return execution, work(plain, tensors, ends)


def open_interpreter(content: bytes, threads: int) -> Any:
    """Returns an interpreter with its tensors allocated, as `pocketvae.runtimes.litert` opens it.

    Raises:
        ParityError: LiteRT cannot load the file.
        TargetError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as e:
        raise missing_package("ai-edge-litert", "run") from e
    try:
        with quiet_stderr():
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as e:
        raise ParityError(f"LiteRT cannot load the file: {e}") from e
    return interpreter


def work(operators: Sequence[Operator], tensors: Mapping[int, Tensor], ends: Sequence[int]) -> Work:
    """Counts multiply-adds and bytes of a graph.

    Args:
        operators: The operators without delegates.
        tensors: The tensors by index.
        ends: Indices of the graph's inputs and outputs.
    """
    made = {index for op in operators for index in op.outputs}
    constants = {index for op in operators for index in op.inputs} - made - set(ends)
    return Work(
        multiply_adds=sum(_multiply_adds(op, tensors) for op in operators),
        weight_bytes=sum(tensors[index].size_bytes for index in constants),
        transfer_bytes=sum(tensors[index].size_bytes for index in ends if index in tensors),
    )


def delegated(operators: Sequence[Operator]) -> set[int]:
    """Returns the positions of operators that a delegate runs: all between its inputs and its outputs."""
    makers = {index: place for place, op in enumerate(operators) if op.kind != _DELEGATE for index in op.outputs}
    taken: set[int] = set()
    for delegate in (op for op in operators if op.kind == _DELEGATE):
        todo = [index for index in delegate.outputs if index in makers]
        while todo:
            place = makers[todo.pop()]
            if place not in taken:
                taken.add(place)
                todo += [i for i in operators[place].inputs if i in makers and i not in delegate.inputs]
    return taken


def _multiply_adds(op: Operator, tensors: Mapping[int, Tensor]) -> int:
    if op.kind == "TRANSPOSE_CONV":
        # Its inputs are the output's shape, the weights [O, h, w, I] and the image; every input value meets h * w * O.
        weights, image = tensors[op.inputs[1]].shape, tensors[op.inputs[2]].shape
        return math.prod(image) * math.prod(weights[:3])
    if op.kind == "BATCH_MATMUL":
        return math.prod(tensors[op.outputs[0]].shape) * tensors[op.inputs[0]].shape[-1]
    if op.kind not in _WEIGHTED:
        return 0
    weights = tensors[op.inputs[1]].shape
    return math.prod(tensors[op.outputs[0]].shape) * math.prod(weights[axis] for axis in _WEIGHTED[op.kind])


def _known(indices: Sequence[int]) -> tuple[int, ...]:
    # An omitted input, such as a missing bias, has the index -1.
    return tuple(int(index) for index in indices if index >= 0)


def _tensor(interpreter: Any, index: int) -> Tensor:
    detail = interpreter._get_tensor_details(index, 0)
    shape = tuple(int(size) for size in detail["shape"])
    return Tensor(shape=shape, size_bytes=math.prod(shape) * np.dtype(detail["dtype"]).itemsize)
