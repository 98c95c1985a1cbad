"""Benchmark of a bundle: latency, memory and size of every artifact and of the original model in the same run."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass, replace

from pocketvae.benchmarks.latency.config import BenchConfig, Extra
from pocketvae.benchmarks.latency.measure.examination import Examination, examine_all
from pocketvae.benchmarks.latency.measure.instructions import find_valgrind
from pocketvae.benchmarks.latency.measure.regression import (
    Opened,
    compare_with_bundle,
    compare_with_results,
    interface_of,
    open_baseline,
)
from pocketvae.benchmarks.latency.measure.rows import row, with_speedups
from pocketvae.benchmarks.latency.measure.subjects import Subject, subjects
from pocketvae.benchmarks.latency.messages import Measure, Pace
from pocketvae.benchmarks.latency.results import BenchResult
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.bundle.bundle import Bundle, opened
from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.errors import PocketVaeError, SpecError
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.system.environment import Environment, current_environment, logical_cores
from pocketvae.system.files import StrPath

ROUNDS = 10
_MOST_VALUES, _FEWEST_VALUES = 300, 30
# Time for the values of one row; slow calls get fewer values, but at least 30.
_ROW_BUDGET_S = 1.0
_BLOCK_WARMUPS = 5
_PACED_CALLS = 30
_ORDER_SEED = 0
_BUSY_LOAD = 0.5


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """The checked plan of a benchmark.

    Attributes:
        records: The artifacts to time.
        environment: The machine, as it was before timing.
        baseline: The baseline to compare with, if there is one.
    """

    bundle: Bundle
    config: BenchConfig
    records: tuple[ArtifactRecord, ...]
    environment: Environment
    baseline: Opened | None


def bench_bundle(
    bundle: StrPath | Bundle, config: BenchConfig | None = None, *, progress: ProgressCallback = ignore_progress
) -> BenchResult:
    """Times every artifact of a bundle and the original.

    Each artifact runs in its own process; they are opened one after another so that nothing disturbs loading and the
    first calls. Then all take turns in ten rounds of shuffled order, so that warm-up of the machine or other load
    affects all alike. A value includes copying the input in and the output out, as in an app.

    Args:
        bundle: The bundle, or its path.
        config: What to time; by default everything, with 1 thread.
        progress: Called for every step.

    Raises:
        ManifestError: the bundle is damaged.
        SpecError: there are more threads than the machine's cores, an artifact is unknown, or the baseline is for
            another model or machine or has none of the timed artifacts.
        TargetError: instructions are to be counted and valgrind is not installed.
    """
    return bench_planned(plan_bench(bundle, config or BenchConfig()), progress=progress)


def bench_planned(plan: BenchPlan, *, progress: ProgressCallback = ignore_progress) -> BenchResult:
    """Times the planned artifacts; see `bench_bundle`."""
    bundle, config, records, baseline = plan.bundle, plan.config, plan.records, plan.baseline
    with ExitStack() as stack:
        everything = list(subjects(bundle, records, config, stack))
        _open_all(everything, progress)
        _measure_all([subject for subject in everything if not subject.problem], progress)
        _pace_all(everything, config.paced_calls_per_s, progress)
    opened = {subject.artifact for subject in everything if not subject.problem}
    found = examine_all(bundle, [record for record in records if record.name in opened], config, progress)
    result = _result(bundle.manifest, plan.environment, everything, found)
    if baseline is None or config.baseline is None:
        return result
    if baseline.bundle is not None:
        return replace(result, comparison=compare_with_bundle(bundle, records, baseline, config, progress))
    return replace(result, comparison=compare_with_results(result, baseline, config.baseline))


def plan_bench(bundle: StrPath | Bundle, config: BenchConfig) -> BenchPlan:
    """Does the checks of `bench_bundle`, for callers that do other work before it, and returns the plan.

    Raises:
        ManifestError: see `bench_bundle`.
        SpecError: see `bench_bundle`.
        TargetError: see `bench_bundle`.
    """
    check_threads(config.threads)
    if Extra.INSTRUCTIONS in config.extras:
        find_valgrind()
    bundle = opened(bundle)
    records = config.chosen(bundle.manifest.artifacts)
    environment = current_environment()
    baseline = open_baseline(config.baseline, bundle, records, config, environment) if config.baseline else None
    return BenchPlan(bundle=bundle, config=config, records=records, environment=environment, baseline=baseline)


def check_threads(num_threads: tuple[int, ...]) -> None:
    """Checks that there are at least as many cores as threads.

    Raises:
        SpecError: there are fewer.
    """
    cores = logical_cores()
    for count in num_threads:
        if count > cores:
            raise SpecError(f"threads must be between 1 and this machine's {cores}, got {count}")


def _result(manifest: Manifest, environment: Environment, everything: list[Subject], found: Examination) -> BenchResult:
    rows = [row(subject, found, rounds=ROUNDS) for subject in everything if not subject.problem]
    not_run = [
        NotRun(artifact=subject.artifact, target=subject.target, reason=reason)
        for subject in everything
        for reason in ([subject.problem] if subject.problem else subject.unpaced_reasons())
    ]
    return BenchResult(
        bundle=manifest.name,
        interface=interface_of(manifest.vae),
        environment=environment,
        peaks=found.peaks,
        results=tuple(with_speedups(each, rows) for each in rows),
        profiles=found.profiles,
        # Several batch sizes and numbers of threads may have the same reason.
        not_run=(*dict.fromkeys(not_run), *found.not_run),
        warnings=_warnings(environment),
    )


def _warnings(environment: Environment) -> tuple[str, ...]:
    load = environment.load_average
    if load is None or load <= _BUSY_LOAD * environment.logical_cores:
        return ()
    return (
        f"the machine was busy before: load average {load:g} on {environment.logical_cores} cores; latencies on a "
        f"busy machine are too high",
    )


def _open_all(everything: list[Subject], progress: ProgressCallback) -> None:
    for done, subject in enumerate(everything):
        if subject.problem:
            continue
        detail = f"{subject.artifact} {subject.target}"
        progress(Progress(stage="opening", done=done, total=len(everything), detail=detail))
        try:
            subject.loaded = subject.worker.load(subject.load)
        except PocketVaeError as e:
            subject.problem = str(e)
    progress(Progress(stage="opening", done=len(everything), total=len(everything)))


def _measure_all(everything: list[Subject], progress: ProgressCallback) -> None:
    rng = random.Random(_ORDER_SEED)  # noqa: S311 - an order, not a secret
    for round_number in range(1, ROUNDS + 1):
        order = [subject for subject in everything if not subject.problem]
        rng.shuffle(order)
        for subject in order:
            _measure_round(subject)
        progress(Progress(stage="timing", done=round_number, total=ROUNDS, detail=f"round {round_number}"))


def _measure_round(subject: Subject) -> None:
    assert subject.loaded is not None  # noqa: S101 - only subjects that were opened are measured
    fitting = int(_ROW_BUDGET_S / max(subject.loaded.call_s * subject.loaded.loops, 1e-9))
    measure = Measure(
        handle=subject.load.handle,
        warmups=_BLOCK_WARMUPS,
        loops=subject.loaded.loops,
        count=-(-min(_MOST_VALUES, max(_FEWEST_VALUES, fitting)) // ROUNDS),
    )
    try:
        measured = subject.worker.measure(measure)
    except PocketVaeError as e:
        subject.problem = str(e)
        return
    subject.values_s += measured.values_s
    subject.peak_rss_bytes = measured.peak_rss_bytes
    subject.cpu_s += measured.cpu_s
    subject.elapsed_s += measured.elapsed_s


def _pace_all(everything: list[Subject], rates: tuple[float, ...], progress: ProgressCallback) -> None:
    """Times calls at fixed rates, one subject after another: two that sleep in turns would keep the clock rate up."""
    todo = [(subject, rate) for rate in rates for subject in everything if not subject.problem]
    random.Random(_ORDER_SEED).shuffle(todo)  # noqa: S311 - an order, not a secret
    for done, (subject, rate) in enumerate(todo):
        progress(Progress(stage="pacing", done=done, total=len(todo), detail=f"{subject.artifact} at {rate:g}/s"))
        pace = Pace(handle=subject.load.handle, calls_per_s=rate, count=_PACED_CALLS)
        try:
            subject.paced_s[rate] = subject.worker.pace(pace, _pace_limit_s(subject, rate)).values_s
        except PocketVaeError as e:
            subject.unpaced[rate] = str(e)
    if todo:
        progress(Progress(stage="pacing", done=len(todo), total=len(todo)))


def _pace_limit_s(subject: Subject, rate: float) -> float:
    """Returns a time limit: twice the time that the calls need at this rate, plus a minute."""
    call_s = max(subject.values_s, default=0.0)
    return 60 + 2 * _PACED_CALLS * max(1 / rate, call_s)
