"""How long one image takes: pocketvae's decoders beside the stock conversions and other runtimes, in one run.

The decoders are those of latency_decoders.py: transposed convolutions of kernel 2 to 5, depth-to-space and resize, from
the same weights everywhere; batch 1, float32, one thread on one core. Every contender proves that its images are those
of the definitions in numpy, within a quarter of a grey step, before it is timed. The floor is the decoder's
multiply-adds at the speed of the fastest large matrix product that a library makes on the same core in the same run.

Each contender runs in a process of its own and they take turns in rounds, so that a machine that warms up or is used by
others meets all alike. What is not installed is reported as not run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from contenders import REPLY_LIMIT_S, Contender, add_options, check_counts, start, write_files
from latency_contenders import RUNTIMES, SGEMM
from latency_decoders import DECODERS, multiply_adds
from records import check_record, git_commit, portable_command, run_study, tell, warn_if_busy, write_record

from pocketvae.errors import ExportError, unknown_name
from pocketvae.system.environment import current_environment

PEERS = ("ncnn", "mnn", "openvino", "executorch", "torch-eager")
STOCK = "litert-stock"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def measure(arguments: argparse.Namespace) -> tuple[list[Contender], dict[str, list[float]]]:
    """Returns the contenders with their values, and by library the flops of every round's matrix product."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_files("latency_files", folder, arguments.decoders)
        contenders = [_contender(name, arguments.peers_python) for name in (*arguments.contenders, SGEMM)]
        for contender in contenders:
            stack.enter_context(contender.process)
        *runtimes, product = contenders
        for contender in runtimes:
            tell(f"loading {contender.name}")
            for decoder in arguments.decoders:
                contender.load(folder / decoder)
        flops: dict[str, list[float]] = {}
        for number in range(1, arguments.rounds + 1):
            tell(f"round {number} of {arguments.rounds}")
            reply = product.ask({"sgemm": arguments.seconds}, REPLY_LIMIT_S)
            for library, value in reply.get("flops", {}).items():
                flops.setdefault(library, []).append(value)
            for decoder in arguments.decoders:
                for contender in runtimes:
                    contender.take_turn(decoder, arguments.seconds)
        if not flops:
            raise ExportError(f"the floor must be measured, but: {reply.get('error')}")
    return runtimes, flops


def _contender(name: str, peers_python: str) -> Contender:
    return start(name, peers_python if name in PEERS else sys.executable, {**_ONE_THREAD, "TF_USE_LEGACY_KERAS": "1"})


def make_results(runtimes: Sequence[Contender], flops: Mapping[str, Sequence[float]], decoders: Sequence[str]) -> Any:
    """Returns by decoder: the floor, and each contender's values with their median and its ratios.

    The speedup over the stock conversion is taken within rounds, where both ran one after the other.
    """
    peak = max(float(np.median(values)) for values in flops.values())
    results: dict[str, Any] = {}
    for decoder in decoders:
        floor_s = 2 * multiply_adds(decoder) / peak
        stock = next((c.times_s.get(decoder, []) for c in runtimes if c.name == STOCK), [])
        rows = {}
        for contender in (contender for contender in runtimes if decoder in contender.times_s):
            values = contender.times_s[decoder]
            rows[contender.name] = {
                "values_s": values,
                "median_s": float(np.median(values)),
                "fastest_s": min(values),
                "by_floor": float(np.median(values)) / floor_s,
                "speedup_over_stock": float(np.median(np.divide(stock, values))) if len(stock) == len(values) else None,
            }
        results[decoder] = {"multiply_adds": multiply_adds(decoder), "floor_s": floor_s, "contenders": rows}
    return results


def format_tables(results: Mapping[str, Any]) -> str:
    """Returns a table of text for each decoder, fastest first."""
    lines = []
    for decoder, result in results.items():
        lines += [f"{decoder}: {result['multiply_adds'] / 1e6:.2f} M multiply-adds", ""]
        lines.append(f"  {'contender':<24}{'median us':>10}{'fastest us':>12}{'x floor':>10}{'x stock':>10}")
        lines.append(f"  {'floor (sgemm)':<24}{1e6 * result['floor_s']:>10.1f}")
        for name, row in sorted(result["contenders"].items(), key=lambda item: item[1]["median_s"]):
            speedup = row["speedup_over_stock"]
            cells = f"{1e6 * row['median_s']:>10.1f}{1e6 * row['fastest_s']:>12.1f}{row['by_floor']:>10.2f}"
            lines.append(f"  {name:<24}{cells}{f'{speedup:.2f}' if speedup else '':>10}")
        lines.append("")
    return "\n".join(lines)


def make_record(
    arguments: argparse.Namespace,
    runtimes: Sequence[Contender],
    flops: Mapping[str, Sequence[float]],
    environment: dict[str, Any],
) -> dict[str, Any]:
    """Returns the result as plain JSON values."""
    return {
        "schema_version": 1,
        "study": "decoder_latency",
        "config": {
            "batch": 1,
            "threads": 1,
            "decoders": list(arguments.decoders),
            "rounds": arguments.rounds,
            "seconds_per_value": arguments.seconds,
        },
        "command": portable_command("decoder_latency", sys.argv[1:]),
        "commit": git_commit(),
        "environment": environment,
        "sgemm_flops": dict(flops),
        "contenders": {contender.name: contender.facts for contender in runtimes if contender.facts},
        "results": make_results(runtimes, flops, arguments.decoders),
        "not_run": {contender.name: contender.problems for contender in runtimes if contender.problems},
    }


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parses the command line.

    Raises:
        SpecError: a name is unknown or a number out of its range.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser, decoders=DECODERS, peers=PEERS, rounds=15, seconds=0.2)
    parser.add_argument("--contenders", default=",".join(RUNTIMES), help="default %(default)s")
    arguments = parser.parse_args(words)
    for noun, known in (("decoder", DECODERS), ("contender", tuple(RUNTIMES))):
        names = tuple(dict.fromkeys(getattr(arguments, f"{noun}s").split(",")))
        for name in names:
            if name not in known:
                raise unknown_name(noun, name, known)
        setattr(arguments, f"{noun}s", names)
    check_counts(arguments)
    return arguments


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints the tables and writes the record."""
    check_record(arguments.json, force=arguments.force)
    environment = current_environment()
    warn_if_busy(environment)
    runtimes, flops = measure(arguments)
    record = make_record(arguments, runtimes, flops, asdict(environment))
    print(format_tables(record["results"]))
    for name, problems in record["not_run"].items():
        for problem in dict.fromkeys(problems.values()):
            decoders = [decoder for decoder, reason in problems.items() if reason == problem]
            print(f"{name}: not run: {problem} ({', '.join(decoders)})")
    if arguments.json is not None:
        write_record(arguments.json, record)
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 2 for bad usage and 130 when interrupted."""
    return run_study("decoder_latency", words, parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
