"""Running one file with LiteRT or onnxruntime in this process, and what can be wrong with it.

The program inside a target imports this and what it needs, and nothing of a bundle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pocketvae.errors import ArtifactFault, ParityError, TargetError
from pocketvae.runtimes.base import Array, FloatArray, Optimizations, Runner, quantize
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format, TensorSpec
from pocketvae.system.timing import calibrate_loops, time_first_calls, time_values

_WARMUP_CALLS = 20
# Slow files get fewer warm-up calls and values, so that a job ends in time. `samples.mjs` and `runner.cpp` do the same.
_WARMUP_BUDGET_S, _VALUES_BUDGET_S = 5.0, 60.0
_FEWEST_VALUES = 30


class Interface(Protocol):
    """What is known of a file before it is opened; an `ArtifactRecord` is one."""

    @property
    def format(self) -> Format:
        """The format of the file."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs that it must have."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that it must have."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Times of one artifact on a target, every value kept.

    Attributes:
        load_s: Opening the file.
        first_s: The first call.
        values_s: Seconds per call, input and output copies included, in the order measured.
        loops: Calls behind one value.
    """

    load_s: float
    first_s: float
    values_s: tuple[float, ...]
    loops: int = 1


def run_file(
    path: Path,
    artifact: Interface,
    inputs: Mapping[str, Array],
    image_range: tuple[float, float],
    *,
    optimizations: Optimizations,
    num_threads: int,
    batch: int,
) -> dict[str, FloatArray]:
    """Opens a file, compares its interface, and runs it on every sample.

    Args:
        path: The file.
        artifact: What it must be.
        inputs: Input name to `[N, ...]` real numbers.
        image_range: What pixels 0 and 255 stand for.
        optimizations: Whether the runtime may replace operators by faster ones.
        num_threads: Inside one inference.
        batch: Samples in one call.

    Returns:
        Output name to `[N, ...] float32`, dequantized.

    Raises:
        ArtifactFault: the file cannot be loaded, has another interface, or stops while it runs.
        TargetError: the runtime is not installed.
    """

    def load() -> Runner:
        return open_runner(path, artifact.format, num_threads=num_threads, optimizations=optimizations, batch=batch)

    return run_loaded(load, artifact, inputs, image_range, batch)


def run_loaded(
    load: Callable[[], Runner],
    artifact: Interface,
    inputs: Mapping[str, Array],
    image_range: tuple[float, float],
    batch: int,
) -> dict[str, FloatArray]:
    """Loads a file in whatever runtime, compares its interface, and runs it on every sample; see `run_file`.

    Args:
        load: Opens the file.
        artifact: What it must be.
        inputs: Input name to `[N, ...]` real numbers.
        image_range: What pixels 0 and 255 stand for.
        batch: Samples in one call.

    Raises:
        ArtifactFault: the file cannot be loaded, has another interface, or stops while it runs.
        TargetError: the runtime does not support the file, also where only a call shows it, or is not installed.
    """
    try:
        runner = load()
    except ParityError as e:
        raise ArtifactFault("loads", str(e)) from e
    with runner:
        problem = interface_problem(artifact, runner.inputs, runner.outputs, batch)
        if problem:
            raise ArtifactFault("interface", problem)
        try:
            return runner.run_samples(inputs, image_range)
        except TargetError:
            raise
        except Exception as e:  # a runtime may raise anything; the other artifacts still run
            raise ArtifactFault("runs", f"{type(e).__name__}: {str(e)[:200]}") from e


def interface_problem(
    artifact: Interface, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec], batch: int = 1
) -> str:
    """Says how a file's interface differs from the manifest's; empty where it does not."""
    for role, declared, found in (("input", artifact.inputs, inputs), ("output", artifact.outputs, outputs)):
        names = {spec.name for spec in declared}
        if names != set(found):
            return f"{role}s must be {sorted(names)}, got {sorted(found)}"
        for spec in (tensor.with_batch(batch) for tensor in declared):
            if spec != found[spec.name]:
                return f"{role} {spec.name!r} must be {_describe(spec)}, got {_describe(found[spec.name])}"
    return ""


def _describe(spec: TensorSpec) -> str:
    scale = spec.quantization
    return f"{list(spec.shape)} {spec.dtype}" + (f" scale {scale.scale:g} zero {scale.zero_point}" if scale else "")


def time_loaded(
    load: Callable[[], Runner], inputs: Mapping[str, Array], image_range: tuple[float, float], count: int
) -> Latency:
    """Times loading a file, its first call, and calls after that, on the first sample.

    Args:
        load: Opens the file.
        inputs: Input name to `[N, ...]` real numbers.
        image_range: What pixels 0 and 255 stand for.
        count: Values to measure; fewer, but at least 30, where they would take more than a minute.
    """
    started = time.perf_counter()
    with load() as runner:
        call = runner.prepare(
            {name: quantize(values[:1], runner.inputs[name], image_range) for name, values in inputs.items()}
        )
        loaded = time.perf_counter()
        call()
        first = time.perf_counter()
        time_first_calls(call, count=_WARMUP_CALLS, limit_s=_WARMUP_BUDGET_S)
        loops = calibrate_loops(call)
        values_s, end = list[float](), time.perf_counter() + _VALUES_BUDGET_S
        while len(values_s) < count and (len(values_s) < _FEWEST_VALUES or time.perf_counter() < end):
            values_s += time_values(call, loops=loops, count=1)
    return Latency(load_s=loaded - started, first_s=first - loaded, values_s=tuple(values_s), loops=loops)
