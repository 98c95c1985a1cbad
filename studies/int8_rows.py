"""The files that int8_contenders.py compares: their error, bytes and share in integers, and their times."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from int8_files import FOUR_BITS

from pocketvae.bundle.bundle import Bundle
from pocketvae.formats.arithmetic import read_integer_share
from pocketvae.formats.onnx.metadata import metadata_entries
from pocketvae.formats.tflite.metadata import metadata_ranges
from pocketvae.numerics.metrics import measure
from pocketvae.numerics.tolerance import Tolerance, largest_error_ratio
from pocketvae.runtimes.base import quantize
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format

OURS, FLOAT = "pocketvae", "float32"
THREADS = (1, 2)
_GREY_STEPS = 255
_WARM_UP_CALLS = 20
_PAUSE_S = 0.01
_HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class File:
    """A file and where it is from.

    Attributes:
        model: What it decodes.
        contender: Who quantized it.
        setting: With which setting.
        path: Where it lies.
    """

    model: str
    contender: str
    setting: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file.

    Attributes:
        model: What it decodes.
        contender: Who quantized it.
        setting: With which setting.
        format: Its format.
        size_bytes: Without metadata and goldens, which only our files have.
        p99_steps: 99th percentile of the error, in steps of 1/255.
        budget_share: Largest ratio of an error to its limit.
        multiply_adds_in_integers: Share of all multiply-adds.
        operators_in_integers: Share of all operators.
        float_layers: Convolutions and dense layers that compute in float.
        four_bits: Whether weights are in 4 bits.
        times_s: By number of threads, the median of each round; only of files that were chosen.
        ratios: By number of threads, time divided by that of our file of the format, median over rounds.
    """

    model: str
    contender: str
    setting: str
    format: str
    size_bytes: int
    p99_steps: float
    budget_share: float
    multiply_adds_in_integers: float
    operators_in_integers: float
    float_layers: int
    four_bits: bool
    times_s: Mapping[str, Sequence[float]]
    ratios: Mapping[str, float]


def measured(file: File, bundle: Bundle) -> Row:
    """Returns the row of a file without times.

    Raises:
        PocketVaeError: it cannot be run or read.
    """
    format, content = Format(file.path.suffix[1:]), file.path.read_bytes()
    errors = _errors(content, format, bundle)
    p99 = next(error for tolerance, error in errors if tolerance.metric == "p99_abs")
    share = read_integer_share(format, content)
    return Row(
        model=file.model,
        contender=file.contender,
        setting=file.setting,
        format=format.value,
        size_bytes=len(content) - metadata_bytes(content, format),
        p99_steps=p99 / bundle.manifest.vae.range_span * _GREY_STEPS,
        budget_share=largest_error_ratio((error, tolerance.limit) for tolerance, error in errors),
        multiply_adds_in_integers=share.integer_multiply_adds / max(1, share.multiply_adds),
        operators_in_integers=share.integer_operators / max(1, share.operators),
        float_layers=len(share.float_layers),
        four_bits=FOUR_BITS in file.setting,
        times_s={},
        ratios={},
    )


def best_rows(rows: Sequence[Row]) -> list[Row]:
    """Returns the row with the smallest share of the budget of each contender, format and number of bits.

    Files that compute in floats count as such: they are compared among themselves.
    """
    best: dict[tuple[str, str, bool, bool], Row] = {}
    for row in rows:
        key = row.contender, row.format, row.four_bits, row.multiply_adds_in_integers > _HALF
        if key not in best or row.budget_share < best[key].budget_share:
            best[key] = row
    return list(best.values())


def timed(rows: Mapping[Path, Row], feed: Mapping[str, Any], *, rounds: int, seconds: float) -> list[Row]:
    """Returns rows with the times of their files, which take turns in random order.

    Args:
        rows: Row by file.
        feed: One sample.
        rounds: Values of each file.
        seconds: Of one value.
    """
    times: dict[int, dict[Path, list[float]]] = {}
    for threads in THREADS:
        times[threads] = {path: [] for path in rows}
        with ExitStack() as stack:
            calls = {path: stack.enter_context(_call_of(path, row, threads, feed)) for path, row in rows.items()}
            for _ in range(rounds):
                for path in random.sample(list(calls), len(calls)):
                    times[threads][path].append(_median_s(calls[path], seconds))
    return [_with_times(path, row, rows, times) for path, row in rows.items()]


@contextmanager
def _call_of(path: Path, row: Row, threads: int, feed: Mapping[str, Any]) -> Iterator[Callable[[], object]]:
    with open_runner(path, Format(row.format), num_threads=threads) as runner:
        # litert-quantizer gives some files integer inputs.
        call = runner.prepare({name: quantize(values, runner.inputs[name]) for name, values in feed.items()})
        for _ in range(_WARM_UP_CALLS):
            call()
        yield call


def _median_s(call: Callable[[], object], seconds: float) -> float:
    # onnxruntime's threads of the file before this one still spin.
    time.sleep(_PAUSE_S)
    found, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        call()
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def _with_times(path: Path, row: Row, rows: Mapping[Path, Row], times: Mapping[int, Mapping[Path, list[float]]]) -> Row:
    own = next(other for other, known in rows.items() if known.contender == OURS and known.format == row.format)
    ratios = {str(threads): float(np.median(np.divide(found[path], found[own]))) for threads, found in times.items()}
    return replace(row, times_s={str(threads): found[path] for threads, found in times.items()}, ratios=ratios)


def _errors(content: bytes, format: Format, bundle: Bundle) -> list[tuple[Tolerance, float]]:
    goldens, span = bundle.goldens(Component.DECODER), bundle.manifest.vae.range_span
    tolerances = bundle.manifest.artifact(f"decoder.int8.{format}").tolerances
    with open_runner(content, format) as runner:
        outputs = runner.run_samples(goldens.inputs)
    expected = {name: values.astype(np.float32, copy=False) for name, values in goldens.outputs.items()}
    return [
        (limit, measure(limit, expected, outputs, image_span=span, observed=goldens.observed)) for limit in tolerances
    ]


def metadata_bytes(content: bytes, format: Format) -> int:
    """Returns what a file of ours holds beside its network: metadata and golden pairs."""
    if format is Format.ONNX:
        return sum(map(len, metadata_entries(content).values()))
    return sum(found.stop - found.start for found in metadata_ranges(content).values())
