"""Measurements other than timing: the machine's peaks, what runs every file, profiles and instruction counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from pocketvae.benchmarks.latency.config import BenchConfig, Extra
from pocketvae.benchmarks.latency.measure.instructions import count_instructions
from pocketvae.benchmarks.latency.measure.peaks import blas_environment
from pocketvae.benchmarks.latency.measure.subjects import artifact_load
from pocketvae.benchmarks.latency.measure.worker_client import start_worker
from pocketvae.benchmarks.latency.messages import Examine, Examined, FindPeaks
from pocketvae.benchmarks.latency.results import MachinePeaks, OperatorProfile
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import PocketVaeError
from pocketvae.progress import Progress, ProgressCallback
from pocketvae.reporting.text import count_of


@dataclass(frozen=True, kw_only=True)
class Examination:
    """The results of an examination.

    Attributes:
        peaks: One entry per number of threads.
        artifacts: Results by file name.
        instructions: Instructions of one call with batch size 1, by file name.
        not_run: What was requested but could not be measured.
    """

    peaks: tuple[MachinePeaks, ...] = ()
    artifacts: Mapping[str, Examined] = field(default_factory=dict)
    instructions: Mapping[str, int] = field(default_factory=dict)
    not_run: tuple[NotRun, ...] = ()

    @property
    def profiles(self) -> tuple[OperatorProfile, ...]:
        """Every profile that was made."""
        return tuple(each.profile for each in self.artifacts.values() if each.profile is not None)


def examine_all(
    bundle: Bundle, records: Sequence[ArtifactRecord], config: BenchConfig, progress: ProgressCallback
) -> Examination:
    """Examines every artifact in a separate process, so that this does not affect memory or timings."""
    peaks, no_peaks = _peaks(config.threads)
    artifacts, not_run = _examine(bundle, records, config, progress)
    not_run += no_peaks
    counts: dict[str, int] = {}
    if Extra.INSTRUCTIONS in config.extras:
        counts, missed = _count(bundle, records, progress)
        not_run += missed
    return Examination(
        peaks=tuple(peaks),
        artifacts=artifacts,
        instructions=counts,
        not_run=tuple(not_run),
    )


def _examine(
    bundle: Bundle, records: Sequence[ArtifactRecord], config: BenchConfig, progress: ProgressCallback
) -> tuple[dict[str, Examined], list[NotRun]]:
    found: dict[str, Examined] = {}
    not_run: list[NotRun] = []
    with ExitStack() as stack:
        worker = start_worker(stack)
        for done, record in enumerate(records):
            progress(Progress(stage="examining", done=done, total=len(records), detail=record.name))
            try:
                found[record.name] = worker.examine(_request(bundle, record, config))
            except PocketVaeError as e:
                not_run.append(NotRun(artifact=record.name, target="examination", reason=str(e)))
    progress(Progress(stage="examining", done=len(records), total=len(records)))
    return found, not_run


def _count(
    bundle: Bundle, records: Sequence[ArtifactRecord], progress: ProgressCallback
) -> tuple[dict[str, int], list[NotRun]]:
    counts: dict[str, int] = {}
    not_run: list[NotRun] = []
    for done, record in enumerate(records):
        progress(Progress(stage="counting", done=done, total=len(records), detail=record.name))
        try:
            counts[record.name] = count_instructions(artifact_load(bundle, record, 1, 1))
        except PocketVaeError as e:
            not_run.append(NotRun(artifact=record.name, target="instructions", reason=str(e)))
    progress(Progress(stage="counting", done=len(records), total=len(records)))
    return counts, not_run


def _peaks(counts: Sequence[int]) -> tuple[list[MachinePeaks], list[NotRun]]:
    found: dict[int, MachinePeaks] = {}
    not_run: list[NotRun] = []
    # Memory is measured with 1 thread alone, so that without it nothing is known of more.
    for threads in (1, *(count for count in counts if count != 1)):
        try:
            with ExitStack() as stack:
                worker = start_worker(stack, blas_environment(threads))
                found[threads] = worker.find_peaks(FindPeaks(threads=threads))
        except PocketVaeError as e:
            reason = f"with {count_of(threads, 'thread')}: {e}"
            not_run.append(NotRun(artifact="the machine", target="peaks", reason=reason))
            if threads == 1:
                break
    return [replace(found[threads], memory=found[1].memory) for threads in counts if threads in found], not_run


def _request(bundle: Bundle, record: ArtifactRecord, config: BenchConfig) -> Examine:
    load = artifact_load(bundle, record, config.threads[0], 1)
    return Examine(name=record.name, load=load, profile=Extra.PROFILE in config.extras)
