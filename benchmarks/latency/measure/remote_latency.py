"""Latency on targets other than this machine, one artifact after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pocketvae.benchmarks.execution.running import Latency
from pocketvae.benchmarks.latency.analyse.summary import summarize
from pocketvae.benchmarks.latency.config import BenchConfig
from pocketvae.benchmarks.latency.results import BenchResult, TargetRow
from pocketvae.benchmarks.not_run import ALL, NotRun
from pocketvae.benchmarks.targets import ArtifactFault, Target, TargetRun, make_target
from pocketvae.bundle.bundle import Bundle, opened
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError, TargetError
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.system.environment import current_environment
from pocketvae.system.files import StrPath

_VALUES = 200


def bench_targets(
    bundle: StrPath | Bundle,
    targets: Sequence[str],
    config: BenchConfig,
    *,
    progress: ProgressCallback = ignore_progress,
) -> BenchResult:
    """Times the artifacts of a bundle on targets other than this machine.

    Args:
        bundle: Its path, or the bundle where it is open.
        targets: Names of targets, without `host`.
        config: Its threads and artifacts apply, with a batch size of 1; originals, paces and extras do not.
        progress: Called for every artifact.

    Raises:
        ManifestError: the bundle is damaged.
        SpecError: a target or an artifact is unknown, or time on a target is meaningless.
    """
    chosen = [make_target(name) for name in targets]
    for target in chosen:
        check_times(target)
    return time_on(opened(bundle), chosen, config, progress=progress)


def check_times(target: Target) -> None:
    """Refuses a target whose times say nothing.

    Raises:
        SpecError: it only checks parity.
    """
    if not target.measures_time():
        raise SpecError(
            f"{target.name} only checks parity: its latency says nothing about a device; leave it out of bench"
        )


def time_on(
    bundle: Bundle, targets: Sequence[Target], config: BenchConfig, *, progress: ProgressCallback
) -> BenchResult:
    """Times the artifacts of a bundle that is open; see `bench_targets`.

    Raises:
        SpecError: an artifact is unknown.
    """
    timer = Timer(bundle, config, progress)
    for target in targets:
        timer.run_on(target)
    return timer.result()


class Timer:
    """The rows so far, target by target."""

    def __init__(self, bundle: Bundle, config: BenchConfig, progress: ProgressCallback) -> None:
        """Times nothing yet; see `time_on`.

        Raises:
            SpecError: an artifact is unknown.
        """
        self._rows: list[TargetRow] = []
        self._not_run: list[NotRun] = []
        self._warnings: list[str] = []
        self._bundle, self._num_threads, self._progress = bundle, config.threads, progress
        self._artifacts = config.chosen(bundle.manifest.artifacts)

    def run_on(self, target: Target) -> None:
        """Times the artifacts that a target supports; if it is lost midway, its results so far are kept."""
        pairs = self._pairs(target)
        if not pairs:
            reasons = dict.fromkeys(target.declines(artifact) for artifact in self._artifacts)
            self._warnings.append(f"nothing was timed on {target.name}: {'; '.join(reasons)}")
        try:
            reason = target.unavailable()
            if reason is not None:
                raise TargetError(reason)
            with target.entered(self._bundle) as run:
                for done, (artifact, threads) in enumerate(pairs, start=1):
                    self._time(artifact, threads, target, run)
                    stage = f"timing on {target.name}"
                    self._progress(Progress(stage=stage, done=done, total=len(pairs), detail=artifact.name))
        except TargetError as e:
            missed = self._missed(target, str(e))
            self._not_run += missed if pairs else [NotRun(artifact=ALL, target=target.name, reason=str(e))]

    def result(self) -> BenchResult:
        """Returns the rows over all targets."""
        return BenchResult(
            bundle=self._bundle.manifest.name,
            environment=current_environment(),
            results=(),
            elsewhere=tuple(self._rows),
            not_run=tuple(dict.fromkeys(self._not_run)),
            warnings=tuple(self._warnings),
        )

    def so_far(self, target: Target, problem: str) -> BenchResult:
        """Returns what has been timed until now, while another thread may still be at it on the only target.

        Args:
            target: What it runs on.
            problem: Why the rest counts as not run.
        """
        # First: what ends from here on is reported as not run, and never left out.
        missed = self._missed(target, problem)
        found = self.result()
        return replace(found, not_run=tuple(dict.fromkeys((*found.not_run, *missed))))

    def _pairs(self, target: Target) -> list[tuple[ArtifactRecord, int]]:
        """Returns what is to be timed on a target: artifacts, each with a number of threads."""
        wanted = [artifact for artifact in self._artifacts if not target.declines(artifact)]
        return [(artifact, threads) for threads in self._num_threads for artifact in wanted]

    def _missed(self, target: Target, reason: str) -> list[NotRun]:
        """Returns the artifacts that are not timed with each number of threads, unless that is told already."""
        known = {(row.artifact, row.threads) for row in tuple(self._rows) if row.target == target.name}
        missed = [artifact.name for artifact, threads in self._pairs(target) if (artifact.name, threads) not in known]
        told = {item.artifact for item in tuple(self._not_run) if item.target == target.name}
        names = [name for name in dict.fromkeys(missed) if name not in told]
        return [NotRun(artifact=name, target=target.name, reason=reason) for name in names]

    def _time(self, artifact: ArtifactRecord, threads: int, target: Target, run: TargetRun) -> None:
        inputs = self._bundle.goldens(artifact.component).inputs_of(artifact)
        try:
            latency = run.latency(artifact, inputs, num_threads=threads, count=_VALUES)
        except (ArtifactFault, TargetError) as e:
            self._not_run.append(NotRun(artifact=artifact.name, target=target.name, reason=str(e)))
            return
        self._rows.append(_row(artifact.name, target.name, threads, latency, run.remarks(artifact)))


def _row(artifact: str, target: str, threads: int, latency: Latency, remarks: tuple[str, ...]) -> TargetRow:
    summary = summarize(latency.values_s)
    return TargetRow(
        artifact=artifact,
        target=target,
        threads=threads,
        load_s=latency.load_s,
        first_s=latency.first_s,
        median_s=summary.median_s,
        p90_s=summary.p90_s,
        p99_s=summary.p99_s,
        mad_s=summary.mad_s,
        loops=latency.loops,
        values_s=latency.values_s,
        warnings=(*summary.warnings, *remarks),
    )
