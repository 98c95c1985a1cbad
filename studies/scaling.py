"""How cost grows with the decoder: export, verify and bench from 28 to 256 pixels and 0.1 to 10 million parameters.

    python studies/scaling.py --json benchmarks/history/DATE-scaling.json --html scaling.html

Each decoder is made untrained, exported, verified and timed by the commands themselves, each in a process of its own
whose time and largest memory are taken. A step has weights to move, pixels to make and multiply-adds to do. Between two
decoders of which one is larger in all three, no cost may grow faster than the one of the three that grows most: the
exponent, log(cost ratio) / log(work ratio), may not be above 1 by more than noise. Exit code 1 where it is.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from records import check_record, make_record, run_study, tell, write_record

from pocketvae.benchmarks import BenchResult, BenchRow
from pocketvae.documents import decode
from pocketvae.errors import SpecError, TargetError
from pocketvae.reporting.charts import Line, line_chart
from pocketvae.reporting.html import Figure, figures_page
from pocketvae.system import files
from pocketvae.system.environment import current_environment

SIDES, PARAMETERS = (28, 64, 128, 256), (100_000, 1_000_000, 10_000_000)
ARTIFACTS = "float32,dynamic_int8"
# An exponent above 1 by no more than this is noise.
STEEPEST = 1.15
# Two decoders whose work differs by less say little about growth.
_SMALLEST_STEP = 4.0
_STEPS = ("export", "verify", "bench")
_MODEL = Path(__file__).with_name("scaling_model.py")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one command took."""

    wall_s: float
    peak_rss_bytes: int


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """One decoder and what it costs.

    Attributes:
        steps: By command.
        median_s: By artifact.
        size_bytes: By artifact.
    """

    side: int
    parameters: int
    multiply_adds: int
    steps: dict[str, Step]
    median_s: dict[str, float]
    size_bytes: dict[str, int]

    @property
    def work(self) -> tuple[int, int, int]:
        """Parameters, pixels and multiply-adds."""
        return self.parameters, self.side**2, self.multiply_adds


def run_step(command: Sequence[str]) -> tuple[Step, str]:
    """Runs a command; its memory is that of its largest process, workers included.

    Raises:
        TargetError: it fails.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise TargetError(f"{' '.join(command[:4])} ended with code {process.returncode}: {text.strip()[-300:]}")
    scale = 1 if sys.platform == "darwin" else 1024
    return Step(wall_s=wall_s, peak_rss_bytes=usage.ru_maxrss * scale), text


def measure(side: int, parameters: int, precisions: str, folder: Path) -> Decoder:
    """Makes, exports, verifies and times one decoder.

    Raises:
        TargetError: a command fails.
    """
    model, bundle, result = folder / "decoder.keras", folder / "bundle", folder / "bench.json"
    _, text = run_step([sys.executable, str(_MODEL), str(side), str(parameters), str(model)])
    pocketvae = str(Path(sys.executable).with_name("pocketvae"))
    choice = ["--components", "decoder", "--precisions", precisions, "--decoder-output", "logits", "--quiet"]
    export, _ = run_step([pocketvae, "export", "--decoder", str(model), "--out", str(bundle), *choice])
    verify, _ = run_step([pocketvae, "verify", str(bundle), "--quiet"])
    bench, _ = run_step([pocketvae, "bench", str(bundle), "--no-original", "--json", str(result), "--quiet"])
    rows = decode(BenchResult, result.read_bytes(), str(result)).results
    return Decoder(
        side=side,
        parameters=int(text.split()[-1]),
        multiply_adds=multiply_adds(rows),
        steps={"export": export, "verify": verify, "bench": bench},
        median_s={row.artifact: row.median_s for row in rows},
        size_bytes={row.artifact: row.size_bytes for row in rows},
    )


def multiply_adds(rows: Sequence[BenchRow]) -> int:
    """Returns the work of a call, which is the same in every file of a decoder.

    Raises:
        TargetError: bench could count none of them.
    """
    counted = [row.roofline.multiply_adds for row in rows if row.roofline is not None]
    if not counted:
        raise TargetError("bench counted the multiply-adds of none of its rows")
    return counted[0]


def growth(decoders: Sequence[Decoder]) -> dict[str, float]:
    """Returns the largest exponent with which each cost grows between any two decoders."""
    costs: dict[str, Callable[[Decoder], float]] = {}
    for step in _STEPS:
        costs[f"{step} time"] = lambda d, step=step: d.steps[step].wall_s
        costs[f"{step} memory"] = lambda d, step=step: d.steps[step].peak_rss_bytes
    for name in decoders[0].median_s:
        costs[f"{name} latency"] = lambda d, name=name: d.median_s[name]
    pairs = [
        (small, large, ratio)
        for small in decoders
        for large in decoders
        if (ratio := work_ratio(small, large)) >= _SMALLEST_STEP
    ]
    return {
        what: max(math.log(cost(large) / cost(small)) / math.log(ratio) for small, large, ratio in pairs)
        for what, cost in costs.items()
        if pairs
    }


def work_ratio(small: Decoder, large: Decoder) -> float:
    """Returns how much the work grows that grows most; 0 where one is not the larger in all of it."""
    ratios = [mine / theirs for mine, theirs in zip(large.work, small.work, strict=True)]
    return max(ratios) if min(ratios) >= 1 else 0.0


def page(decoders: Sequence[Decoder]) -> str:
    """Returns the charts of a study."""
    charts = []
    for title, unit, value in (
        ("Time of a call against the image's side", "µs", lambda d, name: d.median_s[name] * 1e6),
        ("File size against the image's side", "kB", lambda d, name: d.size_bytes[name] / 1e3),
    ):
        lines = [
            Line(
                label=f"{name.removeprefix('decoder.')}, {_millions(size)} M",
                points=tuple((d.side, value(d, name)) for d in group),
                kind=name.rsplit(".", 1)[1],
            )
            for size, group in _by_size(decoders).items()
            for name in group[0].median_s
        ]
        chart = line_chart(lines, title=title, x_label="side [pixels]", y_label=f"[{unit}]")
        charts.append(Figure(svg=chart, caption=title))
    for quantity, value_of in (
        ("time [s]", lambda step: step.wall_s),
        ("largest memory [MB]", lambda step: step.peak_rss_bytes / 1e6),
    ):
        lines = [
            Line(
                label=f"{step}, {_millions(size)} M",
                points=tuple((d.side, value_of(d.steps[step])) for d in group),
                kind=kind,
            )
            for size, group in _by_size(decoders).items()
            for step, kind in zip(_STEPS, ("tflite", "onnx", "original"), strict=True)
        ]
        title = f"The commands' {quantity} against the image's side"
        chart = line_chart(lines, title=title, x_label="side [pixels]", y_label=quantity)
        charts.append(Figure(svg=chart, caption=title))
    return figures_page("How cost grows", charts)


def run(arguments: argparse.Namespace) -> int:
    """Measures every decoder of the grid and writes the record."""
    for output in (arguments.json, arguments.html):
        check_record(output, force=arguments.force)
    environment = current_environment()
    decoders: list[Decoder] = []
    not_run: dict[str, str] = {}
    for parameters, side in product(_numbers(arguments.parameters), _numbers(arguments.sides)):
        with tempfile.TemporaryDirectory() as folder:
            try:
                decoders.append(measure(side, parameters, arguments.precisions, Path(folder)))
            except TargetError as e:
                not_run[f"{side} pixels, {parameters} parameters"] = str(e)
                tell(f"not run: {side} pixels, {parameters} parameters: {e}")
                continue
        tell(_line(decoders[-1]))
    found = growth(decoders) if decoders else {}
    for name, exponent in found.items():
        print(f"{name}: exponent {exponent:.2f} at most{'' if exponent <= STEEPEST else ', FASTER than its work'}")
    if arguments.json is not None:
        config = {"sides": arguments.sides, "parameters": arguments.parameters, "precisions": arguments.precisions}
        results: dict[str, Any] = {"decoders": [asdict(each) for each in decoders], "exponents": found}
        record = make_record(
            "scaling", sys.argv[1:], config=config, environment=environment, results=results, not_run=not_run
        )
        write_record(arguments.json, record)
    if arguments.html is not None and decoders:
        files.write_text(arguments.html, page(decoders))
    return 0 if found and not not_run and all(exponent <= STEEPEST for exponent in found.values()) else 1


def _by_size(decoders: Sequence[Decoder]) -> dict[float, list[Decoder]]:
    groups: dict[float, list[Decoder]] = {}
    for decoder in sorted(decoders, key=lambda decoder: decoder.side):
        groups.setdefault(_rounded(decoder.parameters), []).append(decoder)
    return groups


def _rounded(parameters: int) -> float:
    """Returns the decade that a decoder was made for."""
    return 10.0 ** round(math.log10(parameters))


def _millions(parameters: float) -> str:
    return f"{parameters / 1e6:g}"


def _line(decoder: Decoder) -> str:
    steps = ", ".join(
        f"{name} {step.wall_s:.1f} s {step.peak_rss_bytes / 1e6:.0f} MB" for name, step in decoder.steps.items()
    )
    medians = ", ".join(f"{name} {value * 1e6:.0f} µs" for name, value in decoder.median_s.items())
    work = f"{decoder.multiply_adds / 1e6:.1f} M multiply-adds"
    return f"{decoder.side} pixels, {decoder.parameters / 1e6:.2f} M parameters, {work}: {steps}; {medians}"


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as e:
        raise SpecError(f"sides and parameters are whole numbers such as 28,64, got {text!r}") from e


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", metavar="LIST", default=",".join(map(str, SIDES)), help="default %(default)s")
    parser.add_argument(
        "--parameters", metavar="LIST", default=",".join(map(str, PARAMETERS)), help="default %(default)s"
    )
    parser.add_argument("--precisions", metavar="LIST", default=ARTIFACTS, help="default %(default)s")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where the record goes")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    parser.add_argument("--html", metavar="FILE", type=Path, help="where the charts go")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 2 for bad usage and 130 when interrupted."""
    return run_study("scaling", words, parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
