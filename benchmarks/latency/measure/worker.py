"""The benchmark worker: a process that opens artifacts, or the original, and times calls on request.

Run as `python -m pocketvae.benchmarks.latency.measure.worker`; requests come on stdin, responses go to stdout.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pocketvae.benchmarks.latency.measure.memory import peak_rss_bytes, private_bytes
from pocketvae.benchmarks.latency.messages import (
    Examine,
    Examined,
    FindPeaks,
    HandleLostError,
    Load,
    Loaded,
    Measure,
    Measured,
    Method,
    OnnxCall,
    Pace,
)
from pocketvae.benchmarks.latency.results import MachinePeaks
from pocketvae.keras.model_form import Flavour
from pocketvae.processes.rpc import Handlers, handler, serve
from pocketvae.runtimes.base import Array, Runner, quantize
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format
from pocketvae.system.timing import calibrate_loops, time_first_calls, time_paced, time_values

_WARMUP_CALLS = 50

Call = Callable[[], object]


class BenchWorker:
    """Holds the open files by the handles that the host assigned."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}

    def handlers(self) -> Handlers:
        """Returns what the methods do."""
        return {
            Method.LOAD: handler(Load, self.load),
            Method.MEASURE: handler(Measure, self.measure),
            Method.PACE: handler(Pace, self.pace),
            Method.EXAMINE: handler(Examine, examine),
            Method.FIND_PEAKS: handler(FindPeaks, find_peaks),
        }

    def load(self, load: Load) -> Loaded:
        """Opens what is named, and times that and the first calls."""
        call, load_s, baseline, private = self._open(load)
        first_calls = time_first_calls(call, count=load.first_calls, limit_s=load.warmup_s)
        session = private_bytes()
        _warm_up(call, load.warmup_s)
        self._calls[load.handle] = call
        loops = calibrate_loops(call)
        return Loaded(
            load_s=load_s,
            first_calls_s=tuple(first_calls),
            baseline_rss_bytes=baseline,
            session_bytes=None if session is None or private is None else max(0, session - private),
            loops=loops,
            call_s=float(np.median(time_values(call, loops=loops, count=5))),
        )

    def _open(self, load: Load) -> tuple[Call, float, int, int | None]:
        """Returns the call, the seconds to open it, and peak and private memory before."""
        open_it = _opener(load)
        baseline, private = peak_rss_bytes(), private_bytes()
        started = time.perf_counter()
        call = open_it()
        return call, time.perf_counter() - started, baseline, private

    def measure(self, measure: Measure) -> Measured:
        """Times one more block.

        Raises:
            HandleLostError: what is to be timed is not open here.
        """
        call = self._call(measure.handle)
        for _ in range(measure.warmups):
            call()
        return _measured(lambda: time_values(call, loops=measure.loops, count=measure.count))

    def pace(self, pace: Pace) -> Measured:
        """Times calls at a fixed rate.

        Raises:
            HandleLostError: what is to be timed is not open here.
        """
        call = self._call(pace.handle)
        return _measured(lambda: time_paced(call, calls_per_s=pace.calls_per_s, count=pace.count))

    def _call(self, handle: int) -> Call:
        call = self._calls.get(handle)
        if call is None:
            raise HandleLostError("its process ended after it was opened")
        return call


def find_peaks(request: FindPeaks) -> MachinePeaks:
    """Returns what this machine can do at most."""
    from pocketvae.benchmarks.latency.measure.peaks import measure_peaks

    return measure_peaks(request.threads)


def examine(request: Examine) -> Examined:
    """Returns what runs a file and the work that it does.

    Raises:
        ParityError: the runtime cannot load it.
        TargetError: the runtime is not installed.
    """
    load, path = request.load, Path(request.load.path)
    if load.format is Format.TFLITE:
        from pocketvae.benchmarks.latency.measure import graph_litert, profile_litert

        execution, work = graph_litert.examine(path, load.threads)
        profile = profile_litert.profile(request.name, path.read_bytes(), load.threads) if request.profile else None
        return Examined(execution=execution, work=work, profile=profile)
    from pocketvae.benchmarks.latency.measure import graph_onnx

    with open_runner(path, Format.ONNX) as runner:
        feed = _ready(load, runner, _feed(load.samples, 1))
    execution, work = graph_onnx.examine(path, feed, load.threads)
    profile = graph_onnx.profile(request.name, path, feed, load.threads) if request.profile else None
    return Examined(execution=execution, work=work, profile=profile)


def _measured(take: Callable[[], list[float]]) -> Measured:
    started, cpu = time.perf_counter(), time.process_time()
    values = take()
    return Measured(
        values_s=tuple(values),
        peak_rss_bytes=peak_rss_bytes(),
        cpu_s=time.process_time() - cpu,
        elapsed_s=time.perf_counter() - started,
    )


def _feed(samples: Mapping[str, str], batch: int) -> dict[str, Array]:
    """Returns the first samples of each input, repeated if there are too few."""
    arrays = {name: np.load(path, allow_pickle=False) for name, path in samples.items()}
    return {name: array[np.arange(batch) % len(array)] for name, array in arrays.items()}


def _ready(load: Load, runner: Runner, feed: Mapping[str, Array]) -> dict[str, Array]:
    """Returns samples in the form that the file takes: quantized, or as pixels."""
    return {name: quantize(values, runner.inputs[name], load.vae.data_range) for name, values in feed.items()}


def open_call(load: Load) -> Call:
    """Opens the subject and returns a function that calls it once."""
    return _opener(load)()


def _opener(load: Load) -> Callable[[], Call]:
    """Imports the runtime and returns a function that opens the file: an app imports it once, not once per model."""
    feed = _feed(load.samples, load.batch)
    if load.original is not None:
        from pocketvae.benchmarks.latency.measure.original import onnx_call, original_call
        from pocketvae.keras.io import import_flavour

        import_flavour(load.form.flavour if load.form else Flavour.KERAS2)
        original, path = load.original, Path(load.path)
        if isinstance(original, OnnxCall):
            form, values = load.form, [feed[spec.name] for spec in load.vae.inputs(load.component)]
            assert form is not None  # noqa: S101 - an original that is an ONNX file has a form
            return lambda: onnx_call(path, form, values, load.threads)
        return lambda: original_call(path, load.component, load.vae, original, feed, load.threads, load.form)
    if load.format is Format.TFLITE:
        import ai_edge_litert.interpreter  # noqa: F401
    else:
        import onnxruntime  # noqa: F401

    def open_artifact() -> Call:
        assert load.format is not None  # noqa: S101 - an artifact has a format
        runner = open_runner(Path(load.path), load.format, num_threads=load.threads, batch=load.batch)
        return runner.prepare(_ready(load, runner, feed))

    return open_artifact


def _warm_up(call: Call, limit_s: float) -> None:
    deadline = time.perf_counter() + limit_s
    for _ in range(_WARMUP_CALLS):
        call()
        if time.perf_counter() > deadline:
            break


def main() -> int:
    """Serves on the process's own pipes."""
    serve(BenchWorker().handlers())
    return 0


if __name__ == "__main__":
    sys.exit(main())
