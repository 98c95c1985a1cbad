"""What bench finds: the document behind `bench --json`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.benchmarks.parity.results import NotRun
from pocketvae.spec import STRICT
from pocketvae.system.environment import Environment

BENCH_SCHEMA_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval; 95 per cent unless its owner says otherwise."""

    __pydantic_config__ = STRICT
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio of two medians with its confidence interval."""

    __pydantic_config__ = STRICT
    value: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class Paced:
    """Calls at a fixed rate: between them the process sleeps, as an app does, and clocks and caches cool down.

    Attributes:
        calls_per_s: The rate.
        values_s: Seconds of each call, in the order measured.
    """

    __pydantic_config__ = STRICT
    calls_per_s: float
    median_s: float
    median_interval_s: Interval
    p90_s: float
    p99_s: float
    values_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What really runs a file.

    Attributes:
        runtime: Name and version of the package.
        delegate: `XNNPACK`, the execution provider of onnxruntime, or `none`.
        node_count: Operators of the graph as it is run.
        delegated_count: Those that the delegate or provider has taken.
        kernels: Names of the operators that run, with how many there are of each.
        arena_bytes: Memory for activations that the runtime holds; None where it does not tell.
    """

    __pydantic_config__ = STRICT
    runtime: str
    delegate: str
    node_count: int
    delegated_count: int
    kernels: dict[str, int]
    arena_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """How far a row is from the least time that the machine needs for it.

    Attributes:
        multiply_adds: Of one call, counted from the graph.
        weight_bytes: As stored in the file.
        transfer_bytes: Inputs and outputs of one call.
        floor_s: The larger of arithmetic at the machine's peak and of reading the bytes at the speed of its memory.
        bound: `arithmetic` or `memory`: which of them it is.
        distance: The median over the floor.
    """

    __pydantic_config__ = STRICT
    multiply_adds: int
    weight_bytes: int
    transfer_bytes: int
    floor_s: float
    bound: str
    distance: float


@dataclass(frozen=True, kw_only=True)
class OperatorTime:
    """One operator of a profile.

    Attributes:
        name: In the graph.
        kind: Its operator.
        time_s: Of one call.
        share: Of the sum over all operators.
    """

    __pydantic_config__ = STRICT
    name: str
    kind: str
    time_s: float
    share: float


@dataclass(frozen=True, kw_only=True)
class OperatorProfile:
    """Where the time of one artifact goes.

    Attributes:
        artifact: File name.
        method: How operators were timed, in words.
        operators: The slowest first.
    """

    __pydantic_config__ = STRICT
    artifact: str
    method: str
    operators: tuple[OperatorTime, ...]


@dataclass(frozen=True, kw_only=True)
class MemorySpeed:
    """Bytes per second through a block of memory of one size: copied (read plus written) and read."""

    __pydantic_config__ = STRICT
    block_bytes: int
    copy_bytes_per_s: float
    read_bytes_per_s: float


@dataclass(frozen=True, kw_only=True)
class MachinePeaks:
    """What this machine can do at most, measured in the same run.

    Attributes:
        threads: That took part in the arithmetic.
        sgemm_flops: Float32 operations per second of numpy's matrix product.
        memory: By block size, on one thread.
    """

    __pydantic_config__ = STRICT
    threads: int
    sgemm_flops: float
    memory: tuple[MemorySpeed, ...]


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """The cost of one artifact, or of the original model, with one number of threads and one batch size.

    Attributes:
        artifact: File name, or `original decoder` and `original encoder`.
        target: `host`, or for the original how it was called: `keras-call`, `tf.function`, `xla`, `keras-predict`.
        size_bytes: Of the file.
        load_s: Opening the file, until the first call could be made; the runtime was imported before.
        first_s: The first call.
        first_calls_s: The first calls one by one, the first included: 50, or fewer where they take long.
        median_s: Of a call in steady state, input and output copies included.
        mad_s: Median absolute deviation of the calls.
        loops: Calls behind one value; 1 unless a call is too short for the clock.
        rounds: In how many turns the values were taken, each with the same number of values.
        values_s: Seconds per call, in the order measured.
        cpu_share: CPU time over elapsed time while the values were taken; below 1 the process had to wait.
        paced: The same at fixed rates, where asked for.
        peak_rss_bytes: Largest memory of the process.
        baseline_rss_bytes: Its memory before the file was opened.
        session_bytes: Private memory that opening and the first calls added; None where the system does not tell.
        execution: What ran it; None for the original.
        roofline: None for the original, and where the graph could not be counted.
        instructions: CPU instructions of one call, counted by valgrind; None where that was not asked for.
        speedup_vs_original: How many times faster than the original under `tf.function`; None without it.
        speedups: The same against every way of calling the original, with its interval.
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
    first_calls_s: tuple[float, ...]
    median_s: float
    median_interval_s: Interval
    p90_s: float
    p90_interval_s: Interval
    p99_s: float
    p99_interval_s: Interval
    mad_s: float
    loops: int
    rounds: int
    values_s: tuple[float, ...]
    cpu_share: float
    paced: tuple[Paced, ...] = ()
    peak_rss_bytes: int
    baseline_rss_bytes: int
    session_bytes: int | None = None
    execution: Execution | None = None
    roofline: Roofline | None = None
    instructions: int | None = None
    speedup_vs_original: float | None
    speedups: dict[str, Ratio]
    warnings: tuple[str, ...]

    @property
    def is_original(self) -> bool:
        """Whether this is the original model."""
        return self.artifact.startswith("original ")

    @property
    def component(self) -> str:
        """Which component this is, or is the original of."""
        return self.artifact.removeprefix("original ").split(".")[0]

    @property
    def samples_per_s(self) -> float:
        """Throughput in steady state."""
        return self.batch / self.median_s


class Verdict(enum.StrEnum):
    """What a comparison with a baseline has shown."""

    PASS = "pass"  # noqa: S105 - no password
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class ArtifactComparison:
    """One artifact against its baseline.

    Attributes:
        threads: Inside one call.
        batch: Samples in one call; instructions, and bundles side by side, are of one.
        metric: `latency` or `instructions`.
        ratio: New over old; above 1 is slower. The interval holds for all artifacts together at the level of the
            comparison.
        minimum_detectable: The smallest ratio that this comparison would have proven to be a regression.
        pairs: Pairs of values behind it: launches of both files side by side, or rounds.
        reason: Why, in words.
    """

    __pydantic_config__ = STRICT
    artifact: str
    threads: int
    batch: int = 1
    metric: str
    ratio: Ratio
    minimum_detectable: float
    pairs: int
    verdict: Verdict
    reason: str


@dataclass(frozen=True, kw_only=True)
class BaselineComparison:
    """A bundle against its baseline.

    Attributes:
        baseline: What it was compared with, in words.
        side_by_side: Whether both ran now, in turns; otherwise results were compared alone.
        margin: Slowdown that is allowed: 0.03 lets three per cent pass.
        level: Probability that any artifact which is no slower than the margin is called regressed.
        forced: What `--force-compare` has overridden; empty without it.
    """

    __pydantic_config__ = STRICT
    baseline: str
    side_by_side: bool
    margin: float
    level: float
    artifacts: tuple[ArtifactComparison, ...]
    not_compared: tuple[NotRun, ...] = ()
    forced: tuple[str, ...] = ()

    @property
    def regressed(self) -> bool:
        """Whether a regression was proven."""
        return any(item.verdict is Verdict.REGRESSED for item in self.artifacts)


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """Why an artifact is not the one to embed."""

    __pydantic_config__ = STRICT
    artifact: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The artifact to embed; None where nothing fits."""

    __pydantic_config__ = STRICT
    artifact: str | None
    why: str
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """The latency of one artifact on a target that is not this machine, where time there means something.

    Attributes:
        artifact: File name.
        target: Where it ran.
        threads: Inside one call.
        load_s: Opening the file.
        first_s: The first call.
        median_s: Of a call in steady state, input and output copies included.
        mad_s: Median absolute deviation of the calls.
        loops: Calls behind one value.
        values_s: Seconds per call, in the order measured.
        warnings: Why the figures may not hold.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    threads: int
    load_s: float
    first_s: float
    median_s: float
    p90_s: float
    p99_s: float
    mad_s: float
    loops: int
    values_s: tuple[float, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """The outcome of a benchmark; `elsewhere` has the targets that are not this machine."""

    __pydantic_config__ = STRICT
    schema_version: int = BENCH_SCHEMA_VERSION
    bundle: str
    environment: Environment
    peaks: tuple[MachinePeaks, ...] = ()
    results: tuple[BenchRow, ...]
    elsewhere: tuple[TargetRow, ...] = ()
    profiles: tuple[OperatorProfile, ...] = ()
    comparison: BaselineComparison | None = None
    recommendation: Recommendation | None = None
    not_run: tuple[NotRun, ...] = ()
    warnings: tuple[str, ...] = ()
