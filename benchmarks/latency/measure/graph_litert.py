"""The graph of a TFLite file in LiteRT: its operators, their work, and which of them the delegate runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from pocketvae.benchmarks.latency.messages import Work
from pocketvae.benchmarks.latency.results import Execution
from pocketvae.runtimes.base import read_source
from pocketvae.runtimes.delegation import GraphOperator, GraphTensor, loaded_graph
from pocketvae.runtimes.litert import open_interpreter

# Multiply-adds of one output value: the product of these dimensions of the weights, the second input.
_WEIGHTED = {"FULLY_CONNECTED": (1,), "CONV_2D": (1, 2, 3), "DEPTHWISE_CONV_2D": (1, 2), "CONV_3D": (0, 1, 2, 3)}


def examine(path: Path, threads: int) -> tuple[Execution, Work]:
    """Returns what runs a file when it is opened as in an app, and its work at the batch size of its first signature.

    Raises:
        ParityError: LiteRT cannot load it.
        TargetError: ai-edge-litert is not installed.
    """
    content, name = read_source(path)
    interpreter = open_interpreter(content, num_threads=threads, name=name)
    graph = loaded_graph(interpreter)
    execution = Execution(
        runtime=f"ai-edge-litert {version('ai-edge-litert')}",
        delegate="XNNPACK" if graph.delegated else "none",
        node_count=len(graph.operators),
        delegated_count=len(graph.delegated),
        kernels=dict(sorted(Counter(op.kind for op in graph.operators).items())),
        arena_bytes=None,
    )
    ends = [detail["index"] for detail in (*interpreter.get_input_details(), *interpreter.get_output_details())]
    return execution, work(graph.operators, graph.tensors, ends)


def work(operators: Sequence[GraphOperator], tensors: Mapping[int, GraphTensor], ends: Sequence[int]) -> Work:
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


def _multiply_adds(op: GraphOperator, tensors: Mapping[int, GraphTensor]) -> int:
    if op.kind in ("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"):
        # Their inputs are the output's shape, the weights, [O, h, w, I] or [d, h, w, O, I], and the data; every input
        # value meets all weights of its channel.
        weights, data = tensors[op.inputs[1]].shape, tensors[op.inputs[2]].shape
        return math.prod(data) * math.prod(weights[:-1])
    if op.kind == "BATCH_MATMUL":
        # The first factor may be transposed, but not its rows times the inner dimension.
        left, output = tensors[op.inputs[0]].shape, tensors[op.outputs[0]].shape
        return math.prod(output) * math.prod(left[-2:]) // max(1, output[-2])
    if op.kind not in _WEIGHTED:
        return 0
    weights = tensors[op.inputs[1]].shape
    return math.prod(tensors[op.outputs[0]].shape) * math.prod(weights[axis] for axis in _WEIGHTED[op.kind])
