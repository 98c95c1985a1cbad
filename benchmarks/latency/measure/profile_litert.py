"""Profiles of TFLite files: the time of each operator.

LiteRT's Python package has no profiler, so every operator is timed in a model that contains nothing else, with the
same interpreter and delegate. Each time includes the cost of one call, which a whole model pays only once: the figures
rank operators, but their sum is larger than the time of the model.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from pocketvae.benchmarks.latency.measure.graph_onnx import ranked
from pocketvae.benchmarks.latency.results import OperatorProfile
from pocketvae.formats.tflite.model import is_constant, operator_name, read_model, tensor_name, write_model
from pocketvae.runtimes.litert import open_interpreter
from pocketvae.system.timing import calibrate_loops, time_values

_WARMUPS, _VALUES = 20, 30


def profile(name: str, content: bytes, threads: int) -> OperatorProfile:
    """Returns every operator of a TFLite file with its time when run alone.

    Raises:
        ParityError: an operator cannot be run alone.
        TargetError: ai-edge-litert is not installed.
    """
    model = read_model(content)
    times: dict[tuple[str, str], float] = {}
    for position, operator in enumerate(model.subgraphs[0].operators):
        kind = operator_name(model, operator)
        outputs = [tensor_name(model.subgraphs[0].tensors[index]) for index in operator.outputs]
        label = f"{position} {outputs[0].split(';')[-1] if outputs else kind}"
        times[label, kind] = _median_s(write_model(_only(model, operator)), threads)
    return OperatorProfile(
        artifact=name,
        method=f"each operator in a separate model, median of {_VALUES} values, including the cost of a call",
        operators=ranked(times),
    )


def _only(model: Any, operator: Any) -> Any:
    """Returns a model that only contains one operator and its weights."""
    alone = copy.copy(model)
    graph = copy.copy(model.subgraphs[0])
    constants = {i for i in operator.inputs if i >= 0 and is_constant(model, graph.tensors[i])}
    kept = {*(i for i in operator.inputs if i >= 0), *operator.outputs}
    order = sorted(kept)
    places = {index: place for place, index in enumerate(order)}
    graph.tensors = [copy.copy(graph.tensors[index]) for index in order]
    # Buffer 0 means a tensor without data.
    alone.buffers = [copy.copy(model.buffers[0])]
    for index, tensor in zip(order, graph.tensors, strict=True):
        if index in constants:
            alone.buffers.append(model.buffers[tensor.buffer])
        tensor.buffer = len(alone.buffers) - 1 if index in constants else 0
    step = copy.copy(operator)
    step.inputs = np.array([places.get(i, -1) for i in operator.inputs], np.int32)
    step.outputs = np.array([places[i] for i in operator.outputs], np.int32)
    graph.operators = [step]
    graph.inputs = np.array([places[i] for i in operator.inputs if i >= 0 and i not in constants], np.int32)
    graph.outputs = step.outputs
    alone.subgraphs, alone.signatureDefs, alone.metadata, alone.metadataBuffer = [graph], None, None, None
    return alone


def _median_s(content: bytes, threads: int) -> float:
    interpreter = open_interpreter(content, num_threads=threads)
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        # Integers may be positions in a table, of which only 0 is certain to exist.
        is_float = np.issubdtype(detail["dtype"], np.floating)
        values = rng.standard_normal(detail["shape"]) if is_float else np.zeros(detail["shape"])
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    for _ in range(_WARMUPS):
        interpreter.invoke()
    loops = calibrate_loops(interpreter.invoke)
    return float(np.median(time_values(interpreter.invoke, loops=loops, count=_VALUES)))
