"""The graph of an ONNX file from onnxruntime's profiler: operators, their work, and the time of each.

The profiler reports the shape of every input and output of every operator that it runs, so the onnx package is not
needed. Work is counted on the graph in the file; operators and times come from the optimized one.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.benchmarks.latency.messages import Work
from pocketvae.benchmarks.latency.results import Execution, OperatorProfile, OperatorTime
from pocketvae.errors import ParityError
from pocketvae.runtimes.base import Array, Optimizations, read_source
from pocketvae.runtimes.onnxruntime import PROVIDER, open_session
from pocketvae.system.temporary import temporary_directory

# Positions of the two factors of a product in its inputs.
_PRODUCTS = {"MatMul": (0, 1), "Gemm": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3)}
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
_WARMUP_CALLS, _PROFILED_CALLS = 20, 100
_SUFFIX = "_kernel_time"

Event = dict[str, Any]


def examine(path: Path, feed: Mapping[str, Array], threads: int) -> tuple[Execution, Work]:
    """Returns what runs a file when it is opened as in an app, and its work at the batch size of the feed.

    Raises:
        ParityError: onnxruntime cannot load it.
        TargetError: onnxruntime is not installed.
    """
    optimized = profiled_calls(path, feed, threads, Optimizations.ON, calls=1)
    plain = profiled_calls(path, feed, threads, Optimizations.OFF, calls=1)
    arguments = [event["args"] for event in optimized]
    return Execution(
        runtime=f"onnxruntime {version('onnxruntime')}",
        delegate=PROVIDER,
        node_count=len(arguments),
        delegated_count=sum(each.get("provider") == PROVIDER for each in arguments),
        kernels=dict(sorted(Counter(str(each["op_name"]) for each in arguments).items())),
        arena_bytes=max((int(each.get("mem_arena_held", 0)) for each in arguments), default=None),
    ), work(plain, feed)


def profile(name: str, path: Path, feed: Mapping[str, Array], threads: int) -> OperatorProfile:
    """Returns where the time of one artifact goes.

    Raises:
        ParityError: onnxruntime cannot load it.
        TargetError: onnxruntime is not installed.
    """
    events = profiled_calls(path, feed, threads, Optimizations.ON, calls=_WARMUP_CALLS + _PROFILED_CALLS)
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        times[str(event["name"]).removesuffix(_SUFFIX), str(event["args"]["op_name"])].append(event["dur"] * 1e-6)
    means = {key: _middle_mean(values[_WARMUP_CALLS:]) for key, values in times.items()}
    return OperatorProfile(
        artifact=name,
        method=f"onnxruntime's profiler, mean of the middle half of {_PROFILED_CALLS} calls",
        operators=ranked(means),
    )


def _middle_mean(values: Sequence[float]) -> float:
    """Returns the mean of the middle half: the profiler's clock has a resolution of 1 µs, which a median would keep."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(np.mean([value for value in values if low <= value <= high]))


def ranked(times_s: Mapping[tuple[str, str], float]) -> tuple[OperatorTime, ...]:
    """Returns operators sorted by time; keys are name and kind."""
    total = sum(times_s.values()) or 1.0
    operators = [
        OperatorTime(name=name, kind=kind, time_s=time_s, share=time_s / total)
        for (name, kind), time_s in times_s.items()
    ]
    return tuple(sorted(operators, key=lambda operator: -operator.time_s))


def profiled_calls(
    path: Path, feed: Mapping[str, Array], threads: int, optimizations: Optimizations, *, calls: int
) -> list[Event]:
    """Returns the profiler's event of every operator of every call.

    Raises:
        ParityError: onnxruntime cannot load it.
        TargetError: onnxruntime is not installed.
    """
    content, name = read_source(path)
    with temporary_directory() as folder:
        session = open_session(
            content, num_threads=threads, optimizations=optimizations, profile=folder / "profile", name=name
        )
        try:
            for _ in range(calls):
                session.run(None, dict(feed))
        except Exception as e:  # onnxruntime raises many unrelated types
            raise ParityError(f"onnxruntime cannot profile {name}: {' '.join(str(e).split())[:200]}") from e
        events: list[Event] = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    return [event for event in events if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX)]


def work(events: Sequence[Event], feed: Mapping[str, Array]) -> Work:
    """Counts multiply-adds and bytes from the events of one call of a graph that was not optimized."""
    outputs = int(events[-1]["args"].get("output_size", 0)) if events else 0
    return Work(
        multiply_adds=sum(_multiply_adds(event["args"]) for event in events),
        weight_bytes=sum(int(event["args"].get("parameter_size", 0)) for event in events),
        transfer_bytes=sum(array.nbytes for array in feed.values()) + outputs,
    )


def _multiply_adds(arguments: Event) -> int:
    kind = str(arguments["op_name"])
    inputs, outputs = _shapes(arguments["input_type_shape"]), _shapes(arguments["output_type_shape"])
    values = math.prod(outputs[0]) if outputs else 0
    if kind in _PRODUCTS:
        left, right = (inputs[place] for place in _PRODUCTS[kind])
        # Gemm may transpose either factor; rows * inner * columns is the root of all sizes in both factors and product.
        return math.isqrt(math.prod(left) * math.prod(right) * values) if kind == "Gemm" else values * left[-1]
    if kind in _CONVOLUTIONS:
        weights = inputs[_CONVOLUTIONS[kind]]
        return values * math.prod(weights[1:])
    if kind == "ConvTranspose":
        return math.prod(inputs[0]) * math.prod(inputs[1][1:])
    return 0


def _shapes(listed: Sequence[Mapping[str, Sequence[int]]]) -> list[tuple[int, ...]]:
    return [tuple(next(iter(entry.values()))) for entry in listed]
