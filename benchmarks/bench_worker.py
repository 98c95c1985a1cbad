"""A benchmark worker: a process that opens artifacts, or the original, and times calls when it is told to.

Run as `python -m pocketvae.benchmarks.bench_worker`; requests come on stdin, replies go to stdout.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pocketvae.benchmarks.bench_messages import BenchReply, BenchRequest, Load, Loaded, Measure, Measured
from pocketvae.benchmarks.timing import calibrate_loops, time_values
from pocketvae.documents import decode_line, encode_line
from pocketvae.errors import PocketVaeError, TargetError
from pocketvae.line_process import serve_lines
from pocketvae.model_form import Flavour
from pocketvae.runners import Array, open_runner, quantize

_WARMUP_CALLS = 50
_WARMUP_S = 0.5


class BenchWorker:
    """Holds what it has opened; handles are positions in the order of opening."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []

    def answer(self, request: BenchRequest) -> BenchReply:
        """Does one request; an error becomes part of the reply."""
        try:
            if request.load is not None:
                return BenchReply(loaded=self._load(request.load))
            if request.measure is not None:
                return BenchReply(measured=self._measure(request.measure))
            return BenchReply(error="the request names no job")
        except TargetError as e:
            return BenchReply(error=str(e), missing=True)
        except PocketVaeError as e:
            return BenchReply(error=str(e))
        except Exception as e:  # a runtime may raise anything; the other artifacts are still timed
            return BenchReply(error=f"{type(e).__name__}: {str(e)[:300]}")

    def _load(self, load: Load) -> Loaded:
        feed = {name: _first(np.load(path, allow_pickle=False), load.batch) for name, path in load.samples.items()}
        open_it = _opener(load, feed)
        baseline = peak_rss_bytes()
        started = time.perf_counter()
        call = open_it()
        loaded = time.perf_counter()
        call()
        first = time.perf_counter()
        _warm_up(call)
        self._calls.append(call)
        loops = calibrate_loops(call)
        return Loaded(
            load_s=loaded - started,
            first_s=first - loaded,
            baseline_rss_bytes=baseline,
            loops=loops,
            call_s=float(np.median(time_values(call, loops=loops, count=5))),
        )

    def _measure(self, measure: Measure) -> Measured:
        call = self._calls[measure.handle]
        for _ in range(measure.warmups):
            call()
        values = time_values(call, loops=measure.loops, count=measure.count)
        return Measured(values_s=tuple(values), peak_rss_bytes=peak_rss_bytes())


def peak_rss_bytes() -> int:
    """Returns the largest resident memory that this process has had."""
    # Linux carries ru_maxrss over from the parent through fork and exec; VmHWM begins anew with the program.
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak)  # bytes on macOS, the only other system with this module that is supported


def _opener(load: Load, feed: Mapping[str, Array]) -> Callable[[], Callable[[], object]]:
    """Imports the runtime and returns what opens the file: an import is paid once per app, not once per model."""
    if load.original is not None:
        from pocketvae.benchmarks.original import original_call
        from pocketvae.keras_io import import_flavour

        import_flavour(load.form.flavour if load.form else Flavour.KERAS2)
        original, path = load.original, Path(load.path)
        return lambda: original_call(path, load.component, load.vae, original, feed, load.threads, load.form)
    if load.format == "tflite":
        import ai_edge_litert.interpreter  # noqa: F401
    else:
        import onnxruntime  # noqa: F401

    def open_artifact() -> Callable[[], object]:
        assert load.format is not None  # noqa: S101 - an artifact has a format
        runner = open_runner(Path(load.path), load.format, num_threads=load.threads, batch=load.batch)
        ready = {name: quantize(values, runner.inputs[name], load.vae.image_range) for name, values in feed.items()}
        return lambda: runner.run(ready)

    return open_artifact


def _first(samples: Array, batch: int) -> Array:
    """Returns the first samples, over again where there are fewer than the batch takes."""
    return samples[np.arange(batch) % len(samples)]


def _warm_up(call: Callable[[], object]) -> None:
    deadline = time.perf_counter() + _WARMUP_S
    for _ in range(_WARMUP_CALLS):
        call()
        if time.perf_counter() > deadline:
            break


def main() -> int:
    """Serves on the process's own pipes."""
    worker = BenchWorker()
    serve_lines(lambda line: encode_line(worker.answer(decode_line(BenchRequest, line))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
