"""Do tools that nobody here wrote find the same latencies as pocketvae bench? Side by side, in one run.

    python studies/latency_crosscheck.py BUNDLE --json benchmarks/history/DATE-latency-crosscheck.json

TFLite files are timed by `litert-benchmark`, which comes with ai-edge-litert, and ONNX files by `onnxruntime_perf_test`
where it is on the path, else by the loop of `onnxruntime_test`, which comes with onnxruntime and is given a session of
one thread, since it has no option for that. pocketvae and the tool take turns; each turn is a new process. Exit code 1
where a ratio is off by more than 15 percent.

`litert-benchmark` rounds to hundredths of a millisecond: files that take less than 0.2 ms cannot be compared with it.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from records import check_record, make_record, run_study, tell, write_record

from pocketvae.benchmarks.latency.config import BenchConfig
from pocketvae.benchmarks.latency.measure.subjects import artifact_load
from pocketvae.benchmarks.latency.measure.worker_client import start_worker
from pocketvae.benchmarks.latency.messages import Measure
from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import PocketVaeError, SpecError, TargetError
from pocketvae.spec import Format
from pocketvae.system.environment import current_environment

TOLERANCE = 0.15
_COARSEST_S = 200e-6
_VALUES = 300
_TIME_LIMIT_S = 300.0
# The tool opens its session without options; it is handed some, and its own loop does the timing.
_ONE_THREAD = """
import sys
import onnxruntime
options, session = onnxruntime.SessionOptions(), onnxruntime.InferenceSession
options.intra_op_num_threads = options.inter_op_num_threads = 1
onnxruntime.InferenceSession = lambda path, **_: session(path, options, providers=["CPUExecutionProvider"])
from onnxruntime.tools import onnxruntime_test
for _ in range(int(sys.argv[2])):
    onnxruntime_test.run_model(sys.argv[1], int(sys.argv[3]))
"""
# The tool prints a mean, which an interruption can only raise: many short runs, of which the least is taken.
_RUNS, _RUN_CALLS = 40, 250


@dataclass(frozen=True, kw_only=True)
class Crosscheck:
    """One artifact: both figures of every turn, in seconds."""

    artifact: str
    tool: str
    ours_s: tuple[float, ...]
    theirs_s: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Theirs over ours, the median over turns."""
        return statistics.median(theirs / ours for ours, theirs in zip(self.ours_s, self.theirs_s, strict=True))

    @property
    def agrees(self) -> bool:
        """Whether the two differ by less than the tolerance, either way."""
        return abs(math.log(self.ratio)) <= math.log1p(TOLERANCE)


def our_median_s(bundle: Bundle, record: ArtifactRecord) -> float:
    """Returns the median of one process of pocketvae bench.

    Raises:
        TargetError: the file could not be run.
    """
    with ExitStack() as stack:
        worker = start_worker(stack)
        try:
            loaded = worker.load(replace(artifact_load(bundle, record, 1, 1), warmup_s=1.0))
            measured = worker.measure(Measure(handle=0, warmups=20, loops=loaded.loops, count=_VALUES))
        except PocketVaeError as e:
            raise TargetError(f"{record.name} could not be run: {e}") from e
    return statistics.median(measured.values_s)


def litert_benchmark_s(path: Path) -> float:
    """Returns the median that litert-benchmark finds."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        options = ["--num_threads=1", "--warmup_runs=50", f"--num_runs={_VALUES}", f"--result_json={result}"]
        _run([_tool("litert-benchmark"), f"--model={path}", *options])
        try:
            return float(json.loads(result.read_text("utf-8"))["latency"]["median_ms"]) * 1e-3
        except (OSError, ValueError, LookupError, TypeError) as e:
            raise TargetError(f"litert-benchmark's result has no latency.median_ms: {type(e).__name__}") from e


def onnxruntime_test_s(path: Path) -> float:
    """Returns the mean that onnxruntime's own Python tool finds with one thread, the least of its runs."""
    text = _run([sys.executable, "-c", _ONE_THREAD, str(path), str(_RUNS), str(_RUN_CALLS)])
    means_ms = re.findall(r"avg latency: ([\d.e+-]+) ms", text)
    if len(means_ms) != _RUNS:
        raise TargetError(f"the tool's output has {len(means_ms)} figures in place of {_RUNS}: {text[-200:]!r}")
    return min(float(mean_ms) for mean_ms in means_ms) * 1e-3


def perf_test_s(path: Path) -> float:
    """Returns the mean that onnxruntime's C++ tool finds with one thread."""
    options = ["-e", "cpu", "-x", "1", "-y", "1", "-m", "times", "-r", str(_VALUES * 5), "-I"]
    text = _run([_tool("onnxruntime_perf_test"), *options, str(path)])
    return _number(r"Average inference time cost(?: total)?: ([\d.e+-]+) ms", text) * 1e-3


def tool_for(format: Format) -> tuple[str, Callable[[Path], float]]:
    """Returns the name of the tool for a format, and what runs it.

    Raises:
        TargetError: it is not installed.
    """
    if format is Format.TFLITE:
        return "litert-benchmark", litert_benchmark_s
    if shutil.which("onnxruntime_perf_test"):
        return "onnxruntime_perf_test", perf_test_s
    return "onnxruntime_test", onnxruntime_test_s


def crosscheck(bundle: Bundle, record: ArtifactRecord, turns: int) -> Crosscheck:
    """Times one artifact with both, in turns.

    Raises:
        TargetError: the tool is missing or fails, or rounds its figures more than the file takes.
    """
    name, theirs = tool_for(record.format)
    path = bundle.artifact_path(record)
    first = our_median_s(bundle, record)
    if record.format is Format.TFLITE and first < _COARSEST_S:
        raise TargetError(f"{name} rounds to 10 µs, but the file takes {first * 1e6:.0f} µs")
    pairs = [(our_median_s(bundle, record), theirs(path)) for _ in range(turns)]
    return Crosscheck(
        artifact=record.name, tool=name, ours_s=tuple(p[0] for p in pairs), theirs_s=tuple(p[1] for p in pairs)
    )


def _tool(name: str) -> str:
    """Returns a program beside this Python, or on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise TargetError(f"{name} is not installed")
    return found


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, timeout=_TIME_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as e:
        raise TargetError(f"{Path(command[0]).name} took longer than {_TIME_LIMIT_S:g} s and was ended") from e
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise TargetError(f"{Path(command[0]).name} ended with code {done.returncode}: {lines[-1] if lines else ''}")
    return done.stdout


def _number(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise TargetError(f"the tool's output has no figure: {text[-200:]!r}")
    return float(match[1])


def run(arguments: argparse.Namespace) -> int:
    """Compares every artifact that was chosen, prints a table and writes the record."""
    if arguments.turns < 1:
        raise SpecError(f"there must be at least one turn, got {arguments.turns}")
    check_record(arguments.json, force=arguments.force)
    bundle, environment = open_bundle(arguments.bundle), current_environment()
    names = tuple(arguments.artifacts.split(",")) if arguments.artifacts else None
    checks: list[Crosscheck] = []
    not_run: dict[str, str] = {}
    for record in BenchConfig(artifacts=names).chosen(bundle.manifest.artifacts):
        try:
            checks.append(crosscheck(bundle, record, arguments.turns))
        except TargetError as e:
            not_run[record.name] = str(e)
            tell(f"not run: {record.name}: {e}")
            continue
        check = checks[-1]
        ours, theirs = statistics.median(check.ours_s), statistics.median(check.theirs_s)
        verdict = "agrees" if check.agrees else "DIFFERS"
        print(
            f"{check.artifact:28} ours {ours * 1e6:8.1f} us  {check.tool} {theirs * 1e6:8.1f} us  "
            f"ratio {check.ratio:.3f}  {verdict}",
            flush=True,
        )
    if arguments.json is not None:
        config = {"turns": arguments.turns, "tolerance": TOLERANCE, "values": _VALUES}
        results = {"checks": [{**asdict(check), "ratio": check.ratio, "agrees": check.agrees} for check in checks]}
        words = sys.argv[1:]
        record = make_record(
            "latency_crosscheck", words, config=config, environment=environment, results=results, not_run=not_run
        )
        write_record(arguments.json, record)
    return 0 if checks and all(check.agrees for check in checks) else 1


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", metavar="BUNDLE", type=Path)
    parser.add_argument("--artifacts", metavar="LIST", help="file names (default: all)")
    parser.add_argument("--turns", metavar="N", type=int, default=5, help="of each tool (5)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where the record goes")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 2 for bad usage and 130 when interrupted."""
    return run_study("latency_crosscheck", words, parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
