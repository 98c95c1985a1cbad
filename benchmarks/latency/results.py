"""The document behind `bench --json`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import ClassVar

from pocketvae.benchmarks.devices import Fleet
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.lazy_names import Shown
from pocketvae.spec import STRICT
from pocketvae.system.environment import Environment

BENCH_SCHEMA_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval; 95 percent unless stated otherwise."""

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
    """What actually runs a file.

    Attributes:
        runtime: Name and version of the package.
        delegate: `XNNPACK`, the execution provider of onnxruntime, or `none`.
        node_count: Operators of the graph that runs.
        delegated_count: Operators that the delegate or provider runs.
        kernels: Number of operators that run, by name.
        arena_bytes: Memory that the runtime holds for activations; None if unknown.
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
    """How far a row is from the shortest time in which the machine could do its work.

    Attributes:
        multiply_adds: Multiply-adds of one call, counted from the graph.
        weight_bytes: Size of the weights as stored in the file.
        transfer_bytes: Inputs and outputs of one call.
        floor_s: The larger of the time for arithmetic at the machine's peak and for reading the bytes from memory.
        bound: Which of the two is larger, `arithmetic` or `memory`.
        distance: The median divided by the floor.
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
        name: Name in the graph.
        kind: Type of operator.
        time_s: Time in one call.
        share: Share of the sum over all operators.
    """

    __pydantic_config__ = STRICT
    name: str
    kind: str
    time_s: float
    share: float


@dataclass(frozen=True, kw_only=True)
class OperatorProfile:
    """The time of each operator of one artifact.

    Attributes:
        artifact: File name.
        method: Description of how operators were timed.
        operators: The operators, slowest first.
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
    """The machine's peaks, measured in the same run.

    Attributes:
        threads: Threads that took part in the arithmetic.
        sgemm_flops: Float32 operations per second of numpy's matrix product.
        memory: Bandwidth by block size, with 1 thread.
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
        target: `host`, or for the original the way of calling it: `keras-call`, `tf.function`, `xla`,
            `keras-predict`, or for an ONNX file `onnxruntime`.
        size_bytes: Size of the file.
        load_s: Time to open the file until the first call can be made, with the runtime already imported.
        first_s: Time of the first call.
        first_calls_s: Time of each of the first 50 calls, or fewer if they take long.
        median_s: Median time of a call in steady state, including input and output copies.
        mad_s: Median absolute deviation of the calls.
        loops: Calls per value; 1 unless a call is too short for the clock.
        rounds: Number of rounds in which the values were taken, each with the same number of values.
        values_s: Seconds per call, in the order measured.
        cpu_share: CPU time over elapsed time while the values were taken; below 1, the process had to wait.
        paced: The same at fixed rates, if requested.
        peak_rss_bytes: Peak memory of the process.
        baseline_rss_bytes: Its memory before the file was opened.
        session_bytes: Private memory that opening and the first calls added; None if unknown.
        execution: What ran it; None for the original.
        roofline: Distance from the floor; None for the original, and if the graph could not be counted.
        instructions: CPU instructions of one call, counted by valgrind; None if not requested.
        speedup_vs_original: Speed-up over the original under `tf.function`; None without it.
        speedups: Speed-up over every way of calling the original, with its interval.
        warnings: Reasons why the figures may be unreliable.
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
        """The component of this artifact or original."""
        return self.artifact.removeprefix("original ").split(".")[0]

    @property
    def samples_per_s(self) -> float:
        """Throughput in steady state."""
        return self.batch / self.median_s


class Verdict(enum.StrEnum):
    """The verdict of a comparison with a baseline."""

    PASS = "pass"  # noqa: S105 - no password
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class ArtifactComparison:
    """One artifact compared with its baseline.

    Attributes:
        threads: Inside one call.
        batch: Samples per call; 1 for instructions and for bundles side by side.
        metric: `latency` or `instructions`.
        ratio: New divided by old; above 1 is slower. Each bound of the interval holds for all artifacts together at the
            level of the comparison, so that both do with a probability of 1 - 2 * level: 98 % where the level is 1 %.
        minimum_detectable: The smallest ratio that this comparison would have proven to be a regression.
        pairs: Number of pairs of values: launches of both files side by side, or rounds.
        reason: The reason as text.
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


# The target of what could not be compared for the baseline's sake alone.
NOT_IN_BASELINE = "baseline"


@dataclass(frozen=True, kw_only=True)
class BaselineComparison:
    """A bundle compared with its baseline.

    Attributes:
        baseline: Description of the baseline.
        side_by_side: Whether both ran in turns now; otherwise only results were compared.
        margin: Allowed slowdown; 0.03 is three percent.
        level: Probability that any artifact which is no slower than the margin is called regressed.
        not_compared: What the baseline does not have, with the target `baseline`; what could not be compared, with
            `host`.
        forced: What `--force-compare` overrode; empty without it.
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
    def is_complete(self) -> bool:
        """Whether all was compared that the baseline has, which is something."""
        return bool(self.artifacts) and all(item.target == NOT_IN_BASELINE for item in self.not_compared)

    @property
    def regressed(self) -> bool:
        """Whether a regression was proven."""
        return any(item.verdict is Verdict.REGRESSED for item in self.artifacts)


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """An artifact that is not recommended, with the reason."""

    __pydantic_config__ = STRICT
    artifact: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The artifact to embed; None if none qualifies.

    Attributes:
        why: The reason, as text.
        rejected: The artifacts of the component that do not qualify.
        target: Where it is to run; empty for this machine.
    """

    __pydantic_config__ = STRICT
    artifact: str | None
    why: str
    rejected: tuple[Rejection, ...]
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """The latency of one artifact on a target other than this machine.

    Attributes:
        artifact: File name.
        target: Where it ran.
        threads: Inside one call.
        load_s: Time to open the file.
        first_s: Time of the first call.
        median_s: Median time of a call in steady state, including input and output copies.
        mad_s: Median absolute deviation of the calls.
        loops: Calls per value.
        values_s: Seconds per call, in the order measured.
        warnings: Reasons why the figures may be unreliable.
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
class BenchResult(Shown):
    """The outcome of a benchmark.

    Attributes:
        interface: What another model's differs in, so that it is no baseline; empty of an older result.
        elsewhere: Rows of targets other than this machine.
        on_targets: What to ship to each target that a recommendation was asked for.
        fleet: The devices that are the targets of `elsewhere`, where it ran on a fleet.
    """

    SHOWN_BY: ClassVar[str] = "pocketvae.benchmarks.latency.show.notebook:bench_html"
    __pydantic_config__ = STRICT
    schema_version: int = BENCH_SCHEMA_VERSION
    bundle: str
    interface: dict[str, str] = field(default_factory=dict)
    environment: Environment
    peaks: tuple[MachinePeaks, ...] = ()
    results: tuple[BenchRow, ...]
    elsewhere: tuple[TargetRow, ...] = ()
    profiles: tuple[OperatorProfile, ...] = ()
    comparison: BaselineComparison | None = None
    recommendation: Recommendation | None = None
    on_targets: tuple[Recommendation, ...] = ()
    not_run: tuple[NotRun, ...] = ()
    warnings: tuple[str, ...] = ()
    fleet: Fleet | None = None
