"""What to ship to targets: verified there, and timed where a target's times are a device's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pocketvae.benchmarks.latency.analyse.deviation import deviations
from pocketvae.benchmarks.latency.analyse.recommend import Constraints
from pocketvae.benchmarks.latency.config import BenchConfig
from pocketvae.benchmarks.latency.measure.remote_latency import bench_targets
from pocketvae.benchmarks.latency.results import BenchResult, Recommendation, Rejection, TargetRow
from pocketvae.benchmarks.parity.results import VerifyResult
from pocketvae.benchmarks.parity.verify import read_limits, verify_opened
from pocketvae.benchmarks.shipping import Candidate, choose
from pocketvae.benchmarks.targets import make_target
from pocketvae.bundle.bundle import Bundle, opened
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError
from pocketvae.portability.chips import refused_by
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.system.files import StrPath


def recommend_on_targets(
    bundle: StrPath | Bundle,
    targets: Sequence[str],
    config: BenchConfig,
    constraints: Constraints,
    *,
    progress: ProgressCallback = ignore_progress,
) -> BenchResult:
    """Returns what to ship to each target, with the times that were measured there.

    Args:
        bundle: Its path, or the bundle where it is open.
        targets: Names of targets.
        config: Its threads and artifacts apply.
        constraints: Of the app.
        progress: Called for every artifact.

    Raises:
        ManifestError: the bundle is damaged.
        SpecError: a target or an artifact is unknown, or the bundle has no artifact of the component.
    """
    chosen, whole = [make_target(name) for name in targets], opened(bundle)
    artifacts = check_component(whole, config, constraints)
    some = Bundle(path=whole.path, manifest=replace(whole.manifest, artifacts=artifacts, failures=()))
    limits = read_limits(whole.path, None)
    limits.check(whole.manifest.artifacts)
    verify = verify_opened(some, chosen, limits, num_threads=config.threads[0], progress=progress).result
    timed = [target.name for target in chosen if target.measures_time()]
    plan = replace(config, artifacts=tuple(item.name for item in artifacts))
    times = bench_targets(some, timed, plan, progress=progress)
    found = tuple(_recommend(target.name, artifacts, verify, times.elsewhere, constraints) for target in chosen)
    lost = tuple(item for item in verify.not_run if item not in times.not_run)
    return replace(times, on_targets=found, not_run=(*times.not_run, *lost))


def check_component(bundle: Bundle, config: BenchConfig, constraints: Constraints) -> tuple[ArtifactRecord, ...]:
    """Returns the artifacts of which one is recommended.

    Raises:
        SpecError: there is none, or an artifact is unknown.
    """
    artifacts = tuple(
        item for item in config.chosen(bundle.manifest.artifacts) if item.component is constraints.component
    )
    if not artifacts:
        raise SpecError(f"the bundle has no {constraints.component} to recommend")
    return artifacts


def _recommend(
    target: str,
    artifacts: Sequence[ArtifactRecord],
    verify: VerifyResult,
    rows: Sequence[TargetRow],
    constraints: Constraints,
) -> Recommendation:
    here = _of_target(verify, target)
    candidates, rejected = [], []
    for artifact in artifacts:
        candidate = _candidate(artifact, here, [row for row in rows if row.target == target])
        reason = _failure(artifact.name, here) or refused_by(target, artifact.spec) or _over(candidate, constraints)
        if reason:
            rejected.append(Rejection(artifact=artifact.name, reason=reason))
        else:
            candidates.append(candidate)
    choice = choose(candidates)
    name = choice.candidate.artifact if choice.candidate else None
    why = "no file could be run there" if here.not_run and not here.checks else choice.why.removesuffix(".")
    return Recommendation(artifact=name, why=why, rejected=tuple(rejected), target=target)


def _of_target(verify: VerifyResult, target: str) -> VerifyResult:
    return replace(
        verify,
        checks=tuple(item for item in verify.checks if item.target == target),
        figures=tuple(item for item in verify.figures if item.target == target),
        not_run=tuple(item for item in verify.not_run if item.target == target),
        declined=tuple(item for item in verify.declined if item.target == target),
    )


def _candidate(artifact: ArtifactRecord, here: VerifyResult, rows: Sequence[TargetRow]) -> Candidate:
    figures = {item.metric: item.value for item in here.figures if item.artifact == artifact.name and not item.output}
    times = [row.p90_s for row in rows if row.artifact == artifact.name]
    deviation = deviations(here, [artifact.name]).get(artifact.name)
    return Candidate(
        artifact=artifact.name,
        size_bytes=artifact.file.size_bytes,
        deviation=deviation.text if deviation else "its checks pass",
        npu_share=figures.get("npu_share"),
        time_s=min(times) if times else figures.get("estimated_s"),
        is_estimate=not times,
        cpu_operators=figures.get("cpu_operators"),
    )


def _failure(name: str, here: VerifyResult) -> str:
    """Returns why an artifact does not serve; empty if it ran and passed."""
    missing = [item.reason for item in (*here.declined, *here.not_run) if item.artifact == name]
    checks = [check for check in here.checks if check.artifact == name]
    failed = [check for check in checks if not check.passed]
    if missing:
        return missing[0]
    if failed:
        return f"it fails parity: {failed[0].output} {failed[0].metric} {failed[0].detail}".replace("  ", " ")
    return "" if checks else "it was not verified"


def _over(candidate: Candidate, constraints: Constraints) -> str:
    size, time = candidate.size_bytes, candidate.time_s
    if size > (constraints.max_bytes or math.inf):
        return f"its {size / 1e3:.0f} kB are more than {(constraints.max_bytes or 0) / 1e3:g} kB"
    if constraints.target_s is None:
        return ""
    target = f"the target is {constraints.target_s * 1e3:g} ms"
    if time is None:
        return f"how long it takes there is not known, but {target}"
    return f"it takes {candidate.time}, but {target}" if time > constraints.target_s else ""
