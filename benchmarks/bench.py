"""Latency, memory and size of every artifact, and of the original model beside them in the same run."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from pocketvae.benchmarks.bench_messages import (
    BenchReply,
    BenchRequest,
    Load,
    Loaded,
    Measure,
    OriginalCall,
)
from pocketvae.benchmarks.environment import current_environment, logical_cores
from pocketvae.benchmarks.results import BenchResult, BenchRow, NotRun
from pocketvae.benchmarks.summary import summarize
from pocketvae.bundle import Bundle, open_bundle
from pocketvae.documents import decode_line, encode_line
from pocketvae.errors import SpecError, unknown_name
from pocketvae.line_process import LineProcess, LineProcessError
from pocketvae.manifest import ArtifactRecord
from pocketvae.model_form import Flavour
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.spec import Component

_ROUNDS = 10
_MOST_VALUES, _FEWEST_VALUES = 300, 30
# Time for the values of one row; slow calls get fewer values, never fewer than 30.
_ROW_BUDGET_S = 1.0
_BLOCK_WARMUPS = 5
_TIME_LIMIT_S = 120.0
_ORDER_SEED = 0


@dataclass(kw_only=True)
class _Subject:
    """Something to time: where it runs, and what is known of it so far."""

    artifact: str
    target: str
    size_bytes: int
    load: Load
    process: LineProcess
    handle: int
    loaded: Loaded | None = None
    values_s: list[float] = field(default_factory=list)
    peak_rss_bytes: int = 0
    problem: str = ""

    @property
    def round_count(self) -> int:
        """Values to take in one round."""
        assert self.loaded is not None  # noqa: S101 - only subjects that were opened are measured
        fitting = int(_ROW_BUDGET_S / max(self.loaded.call_s * self.loaded.loops, 1e-9))
        return -(-min(_MOST_VALUES, max(_FEWEST_VALUES, fitting)) // _ROUNDS)


def bench_bundle(
    path: Path,
    *,
    num_threads: Sequence[int] = (1,),
    artifacts: Sequence[str] | None = None,
    include_original: bool = True,
    progress: ProgressCallback = ignore_progress,
) -> BenchResult:
    """Times every artifact of a bundle at each of its batch sizes.

    Each artifact runs in a process of its own, opened one after the other so that nothing disturbs opening and first
    call. Then all take turns in ten rounds of shuffled order, so that a machine that warms up or is used by others
    meets all alike. A value includes copying the input in and the output out, as an app does.

    Args:
        path: The bundle.
        num_threads: Inside one call, the same for every runtime; one row for each.
        artifacts: File names to time; None means all.
        include_original: Time the original Keras model too; where TensorFlow is missing that is reported as not run.
        progress: Told of every step.

    Raises:
        ManifestError: the bundle is damaged.
        SpecError: a number of threads is below 1 or above the machine's cores, or an artifact is unknown.
    """
    _check_threads(num_threads)
    bundle = open_bundle(path)
    records = _choose(bundle, artifacts)
    with ExitStack() as stack:
        subjects = list(_subjects(bundle, records, num_threads, stack, include_original=include_original))
        _open_all(subjects, progress)
        _measure_all([subject for subject in subjects if not subject.problem], progress)
    rows = [_row(subject) for subject in subjects if not subject.problem]
    return BenchResult(
        bundle=bundle.manifest.name,
        environment=current_environment(),
        results=tuple(_with_speedups(row, rows) for row in rows),
        not_run=tuple(
            NotRun(artifact=subject.artifact, target=subject.target, reason=subject.problem)
            for subject in subjects
            if subject.problem
        ),
    )


def _check_threads(num_threads: Sequence[int]) -> None:
    cores = logical_cores()
    if not num_threads:
        raise SpecError("at least one number of threads must be given")
    for count in num_threads:
        if not 1 <= count <= cores:
            raise SpecError(f"threads must be between 1 and this machine's {cores}, got {count}")


def _choose(bundle: Bundle, artifacts: Sequence[str] | None) -> tuple[ArtifactRecord, ...]:
    if artifacts is None:
        return bundle.manifest.artifacts
    known = [artifact.name for artifact in bundle.manifest.artifacts]
    for name in artifacts:
        if name not in known:
            raise unknown_name("artifact", name, known)
    return tuple(bundle.manifest.artifact(name) for name in artifacts)


def _subjects(
    bundle: Bundle,
    records: tuple[ArtifactRecord, ...],
    num_threads: Sequence[int],
    stack: ExitStack,
    *,
    include_original: bool,
) -> Iterator[_Subject]:
    command = [sys.executable, "-m", "pocketvae.benchmarks.bench_worker"]
    every = [(record, batch) for record in records for batch in record.batches]
    for threads in num_threads:
        for record, batch in every:
            yield _Subject(
                artifact=record.name,
                target="host",
                size_bytes=record.file.size_bytes,
                load=replace(
                    _load(bundle, record.component, threads, batch, bundle.artifact_path(record)), format=record.format
                ),
                process=stack.enter_context(LineProcess(command)),
                handle=0,
            )
        if include_original:
            # One process for all ways of calling: TensorFlow takes seconds to start and its threads are per process.
            process = stack.enter_context(LineProcess(command))
            components = tuple(dict.fromkeys(record.component for record in records))
            batches = sorted({batch for record in records for batch in record.batches})
            calls = product(components, batches, OriginalCall)
            for handle, (component, batch, how) in enumerate(calls):
                subject = _original(bundle, component, how, threads, batch, process)
                if subject is not None:
                    yield replace(subject, handle=handle)


def _original(
    bundle: Bundle, component: Component, how: OriginalCall, threads: int, batch: int, process: LineProcess
) -> _Subject | None:
    """Returns the original to time, with a problem where it must not be loaded; None where the bundle has none."""
    file, form = bundle.manifest.original.get(component), bundle.manifest.forms.get(component)
    problem = ""
    if form is not None and form.flavour is Flavour.SAVED_MODEL:
        problem = "the original is a SavedModel, which a bundle does not hold"
    elif form is not None and form.custom_code:
        problem = "the original brings code of its own, which bench does not run"
    elif file is None:
        return None
    path = bundle.path / file.path if file else bundle.path
    return _Subject(
        artifact=f"original {component}",
        target=how,
        size_bytes=file.size_bytes if file else 0,
        load=replace(_load(bundle, component, threads, batch, path), original=how, form=form),
        process=process,
        handle=0,
        problem=problem,
    )


def _load(bundle: Bundle, component: Component, threads: int, batch: int, path: Path) -> Load:
    golden = bundle.manifest.golden(component)
    return Load(
        path=str(path),
        samples={name: str(bundle.path / file.path) for name, file in golden.inputs.items()},
        threads=threads,
        batch=batch,
        component=component,
        vae=bundle.manifest.vae,
    )


def _open_all(subjects: list[_Subject], progress: ProgressCallback) -> None:
    for done, subject in enumerate(subjects):
        if subject.problem:
            continue
        detail = f"{subject.artifact} {subject.target}"
        progress(Progress(stage="opening", done=done, total=len(subjects), detail=detail))
        reply = _ask(subject, BenchRequest(load=subject.load))
        subject.loaded = reply.loaded
        if reply.loaded is None and not subject.problem:
            subject.problem = reply.error or "it could not be opened"
    progress(Progress(stage="opening", done=len(subjects), total=len(subjects)))


def _measure_all(subjects: list[_Subject], progress: ProgressCallback) -> None:
    rng = random.Random(_ORDER_SEED)  # noqa: S311 - an order, not a secret
    for round_number in range(1, _ROUNDS + 1):
        order = [subject for subject in subjects if not subject.problem]
        rng.shuffle(order)
        for subject in order:
            _measure_round(subject)
        progress(Progress(stage="timing", done=round_number, total=_ROUNDS, detail=f"round {round_number}"))


def _measure_round(subject: _Subject) -> None:
    assert subject.loaded is not None  # noqa: S101 - only subjects that were opened are measured
    measure = Measure(
        handle=subject.handle, warmups=_BLOCK_WARMUPS, loops=subject.loaded.loops, count=subject.round_count
    )
    reply = _ask(subject, BenchRequest(measure=measure))
    if reply.measured is not None:
        subject.values_s += reply.measured.values_s
        subject.peak_rss_bytes = reply.measured.peak_rss_bytes
    elif not subject.problem:
        subject.problem = reply.error or "it could not be timed"


def _ask(subject: _Subject, request: BenchRequest) -> BenchReply:
    try:
        return decode_line(BenchReply, subject.process.ask(encode_line(request), _TIME_LIMIT_S))
    except LineProcessError as e:
        return BenchReply(error=str(e))


def _row(subject: _Subject) -> BenchRow:
    assert subject.loaded is not None  # noqa: S101 - only subjects that were opened are measured
    summary = summarize(subject.values_s)
    return BenchRow(
        artifact=subject.artifact,
        target=subject.target,
        threads=subject.load.threads,
        batch=subject.load.batch,
        size_bytes=subject.size_bytes,
        load_s=subject.loaded.load_s,
        first_s=subject.loaded.first_s,
        median_s=summary.median_s,
        p90_s=summary.p90_s,
        p99_s=summary.p99_s,
        mad_s=summary.mad_s,
        loops=subject.loaded.loops,
        values_s=tuple(subject.values_s),
        peak_rss_bytes=subject.peak_rss_bytes,
        baseline_rss_bytes=subject.loaded.baseline_rss_bytes,
        speedup_vs_original=None,
        speedups={},
        warnings=summary.warnings,
    )


def _with_speedups(row: BenchRow, rows: list[BenchRow]) -> BenchRow:
    if row.is_original:
        return row
    component = row.artifact.split(".")[0]
    speedups = {
        other.target: other.median_s / row.median_s
        for other in rows
        if other.artifact == f"original {component}" and (other.threads, other.batch) == (row.threads, row.batch)
    }
    return replace(row, speedups=speedups, speedup_vs_original=speedups.get(OriginalCall.TF_FUNCTION))
