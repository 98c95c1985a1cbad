"""How long a large image takes: pocketvae's decoders beside the stock conversions and other runtimes, in one run.

The decoders are those of large_decoder_files.py: latents of 32x32x4, images of 256x256x3, from the same weights
everywhere; batch 1, float32, one thread and two. Every contender proves that its image is the Keras model's, within a
quarter of a grey step, before it is timed. Each runs in a process of its own and they take turns in rounds; a ratio is
taken within a round, and its interval is that of the median over rounds. What is not installed is reported as not run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from contenders import Contender, add_options, check_counts, start, write_files
from large_decoder_files import DECODERS
from records import check_record, make_record, run_study, tell, warn_if_busy, write_record

from pocketvae.errors import SpecError
from pocketvae.system.environment import current_environment

OURS = ("litert-pocketvae", "onnxruntime-pocketvae")
STOCK = ("litert-stock", "onnxruntime-stock")
PEERS = ("openvino", "ncnn-from-onnx", "mnn")
_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)


def measure(arguments: argparse.Namespace, home: Path, threads: int) -> list[Contender]:
    """Returns the contenders with their values for one number of threads."""
    with ExitStack() as stack:
        contenders = [_contender(name, arguments.peers_python, threads) for name in (*OURS, *STOCK, *PEERS)]
        for contender in contenders:
            stack.enter_context(contender.process)
            for decoder in arguments.decoders:
                contender.load(home / decoder)
        for number in range(1, arguments.rounds + 1):
            tell(f"round {number} of {arguments.rounds}, {threads} threads")
            for decoder in arguments.decoders:
                for contender in contenders:
                    contender.take_turn(decoder, arguments.seconds)
    return contenders


def _contender(name: str, peers_python: str, threads: int) -> Contender:
    environment = {"STUDY_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return start(name, peers_python if name in PEERS else sys.executable, environment)


def summary(contenders: Sequence[Contender], decoder: str) -> dict[str, Any]:
    """Returns the values of every contender, and how much faster our best file is than the fastest other."""
    times = {item.name: item.times_s[decoder] for item in contenders if decoder in item.times_s}
    medians = {name: float(np.median(values)) for name, values in times.items()}
    ours = min((name for name in OURS if name in medians), key=medians.__getitem__, default=None)
    others = sorted((name for name in medians if name not in OURS), key=medians.__getitem__)
    found: dict[str, Any] = {"values_s": times, "median_s": medians, "ours": ours}
    if ours is not None and others:
        ratios = np.divide(times[others[0]], times[ours])
        picked = np.random.default_rng(0).choice(ratios, (_RESAMPLES, len(ratios)))
        low, high = map(float, np.percentile(np.median(picked, axis=1), _INTERVAL))
        found |= {
            "fastest_other": others[0],
            "speedup": float(np.median(ratios)),
            "interval": [float(low), float(high)],
        }
    return found


def shares(path: Path, threads: int) -> dict[str, float]:
    """Returns the share of the time of each kind of operator of an ONNX file, by onnxruntime's profiler."""
    import json

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_profiling = threads, True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        with np.load(path.parents[1] / "weights.npz", allow_pickle=False) as arrays:
            for _ in range(4):
                session.run(None, {"z": arrays["z"]})
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    spent: dict[str, float] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kind = event["args"]["op_name"]
            spent[kind] = spent.get(kind, 0.0) + event["dur"]
    total = sum(spent.values())
    return {kind: value / total for kind, value in sorted(spent.items(), key=lambda item: -item[1])}


def operator_shares(path: Path) -> dict[str, float]:
    """Returns the share of the time of each kind of operator of a TFLite file, every operator timed alone."""
    from pocketvae.benchmarks.latency.measure.profile_litert import profile

    spent: dict[str, float] = {}
    for item in profile(path.name, path.read_bytes(), 1).operators:
        spent[item.kind] = spent.get(item.kind, 0.0) + item.share
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def print_tables(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints a table for each decoder and number of threads, fastest first."""
    for title, result in results.items():
        print(f"{title}: milliseconds of an image, median over rounds")
        for name, median_s in sorted(result["median_s"].items(), key=lambda item: item[1]):
            print(f"  {name:<24}{1e3 * median_s:>9.1f}")
        if "speedup" in result:
            low, high = result["interval"]
            print(f"  {result['ours']} is {result['speedup']:.2f} ({low:.2f} to {high:.2f}) times as fast as ", end="")
            print(result["fastest_other"])


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parses the command line.

    Raises:
        SpecError: a name is unknown or a number out of its range.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser, decoders=DECODERS, peers=PEERS, rounds=7, seconds=0.5)
    parser.add_argument("--threads", default="1,2", help="default %(default)s")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="where the files are kept between runs")
    arguments = parser.parse_args(words)
    arguments.decoders = tuple(arguments.decoders.split(","))
    arguments.threads = tuple(int(word) for word in arguments.threads.split(","))
    if unknown := set(arguments.decoders) - set(DECODERS):
        raise SpecError(f"decoders must be of {', '.join(DECODERS)}, got {', '.join(sorted(unknown))}")
    check_counts(arguments)
    return arguments


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints the tables and writes the record."""
    check_record(arguments.json, force=arguments.force)
    environment = current_environment()
    warn_if_busy(environment)
    results: dict[str, Any] = {}
    not_run: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        home = arguments.files or Path(scratch)
        home.mkdir(exist_ok=True)
        if missing := [name for name in arguments.decoders if not (home / name / "bundle").is_dir()]:
            write_files("large_decoder_files", home, missing)
        for threads in arguments.threads:
            contenders = measure(arguments, home, threads)
            for decoder in arguments.decoders:
                results[f"{decoder}, {threads} threads"] = summary(contenders, decoder)
            for item in contenders:
                not_run |= {f"{item.name}, {decoder}": reason for decoder, reason in item.problems.items()}
        profiles = {
            decoder: {
                "onnxruntime": shares(home / decoder / "bundle" / "decoder.float32.onnx", 1),
                "litert": operator_shares(home / decoder / "bundle" / "decoder.float32.tflite"),
            }
            for decoder in arguments.decoders
        }
    print_tables(results)
    for name, reason in not_run.items():
        print(f"{name}: not run: {reason}")
    if arguments.json is not None:
        config = {"rounds": arguments.rounds, "seconds_per_value": arguments.seconds, "threads": arguments.threads}
        measured = {"results": results, "operator_shares": profiles}
        record = make_record(
            "large_decoders", sys.argv[1:], config=config, environment=environment, results=measured, not_run=not_run
        )
        write_record(arguments.json, record)
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 2 for bad usage and 130 when interrupted."""
    return run_study("large_decoders", words, parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
