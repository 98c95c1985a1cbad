"""What verify and bench find: the documents behind `--json`."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.benchmarks.environment import Environment
from pocketvae.spec import STRICT

VERIFY_SCHEMA_VERSION = 1
BENCH_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison of one artifact with what it has to be.

    Attributes:
        artifact: File name.
        target: Where the artifact ran.
        output: Output the check is about; empty for the artifact as a whole.
        metric: A name of `pocketvae.metrics`, or `loads`, `interface`, `finite`, `range`.
        value: What was measured; None where there is no finite number.
        limit: Largest value that passes; None for checks without a number.
        limit_source: Where the limit comes from.
        passed: The verdict.
        detail: What was wrong, in words.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    output: str
    metric: str
    value: float | None
    limit: float | None
    limit_source: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class NotRun:
    """Something that was asked for and could not be run."""

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """The outcome of a verification; passed means that everything ran and every check passed.

    Attributes:
        not_run: What was asked for and has no verdict.
        declined: What a target is not made for, such as ONNX on a microcontroller's interpreter; it decides nothing.
    """

    __pydantic_config__ = STRICT
    schema_version: int = VERIFY_SCHEMA_VERSION
    passed: bool
    bundle: str
    environment: Environment
    checks: tuple[Check, ...]
    not_run: tuple[NotRun, ...] = ()
    declined: tuple[NotRun, ...] = ()

    def artifacts(self) -> tuple[str, ...]:
        """Returns the names of the artifacts that were checked, in order."""
        return tuple(dict.fromkeys(check.artifact for check in self.checks))


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """The cost of one artifact, or of the original model, with one number of threads.

    Attributes:
        artifact: File name, or `original decoder` and `original encoder`.
        target: `host`, or for the original how it was called: `keras-call`, `tf.function`, `keras-predict`.
        size_bytes: Of the file.
        load_s: Opening the file, until the first call could be made; the runtime was imported before.
        first_s: The first call.
        median_s: Of a call in steady state, input and output copies included.
        mad_s: Median absolute deviation of the calls.
        loops: Calls behind one value; 1 unless a call is too short for the clock.
        values_s: Seconds per call, in the order measured.
        peak_rss_bytes: Largest memory of the process.
        baseline_rss_bytes: Its memory before the file was opened.
        speedup_vs_original: How many times faster than the original under `tf.function`; None without it.
        speedups: The same against every way of calling the original.
        warnings: Why the figures may not hold.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    threads: int
    batch: int
    size_bytes: int
    load_s: float
    first_s: float
    median_s: float
    p90_s: float
    p99_s: float
    mad_s: float
    loops: int
    values_s: tuple[float, ...]
    peak_rss_bytes: int
    baseline_rss_bytes: int
    speedup_vs_original: float | None
    speedups: dict[str, float]
    warnings: tuple[str, ...]

    @property
    def is_original(self) -> bool:
        """Whether this is the original model."""
        return self.artifact.startswith("original ")


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """The outcome of a benchmark."""

    __pydantic_config__ = STRICT
    schema_version: int = BENCH_SCHEMA_VERSION
    bundle: str
    environment: Environment
    results: tuple[BenchRow, ...]
    not_run: tuple[NotRun, ...] = ()
