"""Comparison with a baseline: whether a bundle has become slower."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path

import numpy as np

from pocketvae.benchmarks.latency.analyse.summary import round_medians
from pocketvae.benchmarks.latency.analyse.verdicts import (
    LEVEL,
    MARGIN,
    RESULTS_MARGIN,
    judge_instructions,
    judge_results,
)
from pocketvae.benchmarks.latency.config import Baseline, BenchConfig, Extra
from pocketvae.benchmarks.latency.measure.instructions import count_instructions
from pocketvae.benchmarks.latency.measure.side_by_side import Contest, compare
from pocketvae.benchmarks.latency.measure.subjects import artifact_load
from pocketvae.benchmarks.latency.results import (
    NOT_IN_BASELINE,
    ArtifactComparison,
    BaselineComparison,
    BenchResult,
    BenchRow,
    MachinePeaks,
)
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.documents import decode
from pocketvae.errors import ManifestError, PocketVaeError, SpecError
from pocketvae.progress import ProgressCallback
from pocketvae.reporting.text import count_of
from pocketvae.system.environment import Environment
from pocketvae.vae_spec import Output, VaeSpec

_FORCE = "pass --force-compare to compare anyway"
_ORDER_SEED = 1
# A machine within this share of its own speed counts as equally fast.
_SAME_SPEED = 0.03
# What training may change of an interface, whose files do the same work.
_LEARNED = ("noise_scale", "degrees_of_freedom")
# Artifact, target, threads and batch.
_Key = tuple[str, str, int, int]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A baseline that was read and checked: either a bundle or a result.

    Attributes:
        bundle: Bundle to run side by side.
        result: Result to compare with.
        forced: What --force-compare overrode.
    """

    bundle: Bundle | None = None
    result: BenchResult | None = None
    forced: tuple[str, ...] = ()


def open_baseline(
    baseline: Baseline,
    bundle: Bundle,
    records: Sequence[ArtifactRecord],
    config: BenchConfig,
    environment: Environment,
) -> Opened:
    """Reads a baseline and checks, before any work, that it can be compared.

    Args:
        baseline: The baseline to read.
        bundle: The bundle that is timed.
        records: Its artifacts that are timed.
        config: The configuration of the benchmark.
        environment: The machine.

    Raises:
        ManifestError: it is damaged, or neither a bundle nor a result of bench.
        SpecError: it is for another model, it has none of the timed artifacts, or it is from another machine or a
            bundle with another name and `force` is not set.
    """
    if baseline.path.is_dir():
        other = open_bundle(baseline.path)
        _check_same_model(baseline.path, interface_of(other.manifest.vae), bundle.manifest.vae)
        _check_shared([record.name for record in records], {record.name for record in other.manifest.artifacts})
        reasons = _other_name(other.manifest.name, bundle.manifest.name)
        return Opened(bundle=other, forced=_permitted(reasons, baseline))
    result = decode(BenchResult, _read(baseline.path), str(baseline.path))
    _check_same_model(baseline.path, result.interface, bundle.manifest.vae)
    planned = [
        _row_name(record.name, threads, batch)
        for threads, record in product(config.threads, records)
        for batch in config.batches or record.batches
    ]
    _check_shared(planned, {_row_name(row.artifact, row.threads, row.batch) for row in result.results})
    reasons = (*_other_name(result.bundle, bundle.manifest.name), *other_machine(result.environment, environment))
    return Opened(result=result, forced=_permitted(reasons, baseline))


def interface_of(vae: VaeSpec) -> dict[str, str]:
    """Returns what makes files of two models do the same work: each part of the interface, as text."""
    parts = {field.name: str(getattr(vae, field.name)) for field in fields(VaeSpec) if field.name not in _LEARNED}
    return parts | {
        "latents": _described(vae),
        "channels": _kinds(vae),
        "data_range": _limits(vae.outputs[0]),
        "more_outputs": _more(vae),
    }


def _check_same_model(path: Path, then: Mapping[str, str], vae: VaeSpec) -> None:
    """Refuses another interface: no option allows comparing files that do different work."""
    now = interface_of(vae)
    # A result of an older pocketvae says nothing of it, or less.
    differing = [
        f"{name} {then[name]} instead of {now[name]}" for name in now if then.get(name, now[name]) != now[name]
    ]
    if differing:
        raise SpecError(f"the baseline must be of the same model, but {path} has {'; '.join(differing)}")


def _described(vae: VaeSpec) -> str:
    return ", ".join(f"{latent.name} {list(latent.shape)}" for latent in vae.latents)


def _kinds(vae: VaeSpec) -> str:
    """Returns what the channels are, without their names, units and noise, which are no work."""
    return ", ".join(f"{channel.kind} {channel.width}" for channel in vae.channels)


def _limits(output: Output) -> str:
    """Returns an output's range; of one that nothing bounds it is that of some samples, which is no work either."""
    return str(output.data_range) if output.range_is_strict else "unbounded"


def _more(vae: VaeSpec) -> str:
    found = [
        f"{output.name} ({output.meaning} like a {output.data} {list(output.shape)}, {_limits(output)})"
        for output in vae.more_outputs
    ]
    return ", ".join(found) or "none"


def _check_shared(wanted: Sequence[str], known: Collection[str]) -> None:
    if not any(name in known for name in wanted):
        raise SpecError(f"the baseline has none of: {'; '.join(wanted)}")


def compare_with_bundle(
    bundle: Bundle, records: tuple[ArtifactRecord, ...], opened: Opened, config: BenchConfig, progress: ProgressCallback
) -> BaselineComparison:
    """Runs a bundle and its baseline side by side."""
    assert opened.bundle is not None  # noqa: S101 - the caller looked
    assert config.baseline is not None  # noqa: S101 - else there is nothing opened
    known = {record.name: record for record in opened.bundle.manifest.artifacts}
    shared = [record for record in records if record.name in known]
    threads = config.threads[0]
    contests = [
        Contest(
            artifact=record.name,
            old=artifact_load(opened.bundle, known[record.name], threads, 1),
            new=artifact_load(bundle, record, threads, 1),
        )
        for record in shared
    ]
    margin = config.baseline.margin or MARGIN
    compared, problems = compare(contests, margin=margin, level=LEVEL, seed=_ORDER_SEED, progress=progress)
    lost = [_failed(name, reason) for name, reason in problems.items()]
    if Extra.INSTRUCTIONS in config.extras:
        counted, uncounted = _instructions([contest for contest in contests if contest.artifact not in problems])
        compared, lost = compared + counted, lost + uncounted
    lost += [_absent(r.name, "the baseline does not have this artifact") for r in records if r.name not in known]
    return BaselineComparison(
        baseline=f"the bundle {opened.bundle.manifest.name}",
        side_by_side=True,
        margin=margin,
        level=LEVEL,
        artifacts=tuple(compared),
        not_compared=tuple(lost),
        forced=opened.forced,
    )


def compare_with_results(now: BenchResult, opened: Opened, baseline: Baseline) -> BaselineComparison:
    """Compares two results; the machine's own speed, measured in both runs, is taken into account."""
    assert opened.result is not None  # noqa: S101 - the caller looked
    then = {_key(row): row for row in opened.result.results if not row.is_original}
    rows = [row for row in now.results if not row.is_original]
    shared = [row for row in rows if _key(row) in then]
    margin = baseline.margin or RESULTS_MARGIN
    compared = []
    for row in shared:
        before = then[_key(row)]
        judged = judge_results(
            row.artifact,
            row.threads,
            _log_medians(before),
            _log_medians(row),
            margin=margin,
            alpha=LEVEL / len(shared),
            machine=machine_slowdown(opened.result.peaks, now.peaks, row.threads),
        )
        compared.append(replace(judged, batch=row.batch))
    counted, uncounted = _counted(then, shared)
    unknown = [row for row in rows if _key(row) not in then]
    return BaselineComparison(
        baseline="results measured before",
        side_by_side=False,
        margin=margin,
        level=LEVEL,
        artifacts=(*compared, *counted),
        not_compared=(*uncounted, *(_absent(row.artifact, _no_row(row)) for row in unknown)),
        forced=opened.forced,
    )


def other_machine(then: Environment, now: Environment) -> tuple[str, ...]:
    """Returns the differences between two environments that affect how long a call takes."""
    facts = {
        "processor": (then.cpu, now.cpu),
        "architecture": (then.machine, now.machine),
        "system": (then.system, now.system),
        "number of cores": (str(then.logical_cores), str(now.logical_cores)),
        "governor": (str(then.governor), str(now.governor)),
    }
    for package in ("ai-edge-litert", "onnxruntime"):
        facts[package] = (then.versions.get(package, "none"), now.versions.get(package, "none"))
    return tuple(
        f"different {fact}: {old} in the baseline, {new} here" for fact, (old, new) in facts.items() if old != new
    )


def machine_slowdown(then: tuple[MachinePeaks, ...], now: tuple[MachinePeaks, ...], threads: int) -> float:
    """Returns the factor by which the machine's own peaks are slower now; 1 if they are about equal or faster."""
    before = next((peaks for peaks in then if peaks.threads == threads), None)
    after = next((peaks for peaks in now if peaks.threads == threads), None)
    if before is None or after is None:
        return 1.0
    ratios = [before.sgemm_flops / after.sgemm_flops]
    speeds = {speed.block_bytes: speed.copy_bytes_per_s for speed in after.memory}
    ratios += [s.copy_bytes_per_s / speeds[s.block_bytes] for s in before.memory if s.block_bytes in speeds]
    # The median over arithmetic and all sizes of memory: one of them may be disturbed for a moment.
    slowdown = max(ratios[0], float(np.median(ratios)))
    return slowdown if slowdown > 1 + _SAME_SPEED else 1.0


def _instructions(contests: Sequence[Contest]) -> tuple[list[ArtifactComparison], list[NotRun]]:
    # With one thread, whatever was timed: others that wait for work make a count that differs from run to run.
    judged, lost = [], []
    for contest in contests:
        side = "the baseline's"
        try:
            before = count_instructions(replace(contest.old, threads=1))
            side = "now"
            after = count_instructions(replace(contest.new, threads=1))
        except PocketVaeError as e:
            lost.append(_failed(contest.artifact, f"instructions, {side}: {e}"))
        else:
            judged.append(judge_instructions(contest.artifact, before, after))
    return judged, lost


def _counted(then: Mapping[_Key, BenchRow], rows: Sequence[BenchRow]) -> tuple[list[ArtifactComparison], list[NotRun]]:
    """Compares counts, which are for 1 thread: every row of an artifact has the same."""
    judged, lost = [], []
    for row in {row.artifact: row for row in rows if row.instructions}.values():
        before = then[_key(row)].instructions
        if before and row.instructions:
            judged.append(judge_instructions(row.artifact, before, row.instructions))
        else:
            lost.append(_absent(row.artifact, "instructions: the baseline has none"))
    return judged, lost


def _log_medians(row: BenchRow) -> list[float]:
    return [math.log(median) for median in round_medians(row.values_s, row.rounds)]


def _key(row: BenchRow) -> _Key:
    return (row.artifact, row.target, row.threads, row.batch)


def _other_name(then: str, now: str) -> tuple[str, ...]:
    return () if then == now else (f"different bundle: {then!r} in the baseline, {now!r} here",)


def _permitted(reasons: tuple[str, ...], baseline: Baseline) -> tuple[str, ...]:
    if reasons and not baseline.force:
        raise SpecError(f"{baseline.path} cannot be compared: {'; '.join(reasons)}; {_FORCE}")
    return reasons


def _absent(artifact: str, reason: str) -> NotRun:
    return NotRun(artifact=artifact, target=NOT_IN_BASELINE, reason=reason)


def _failed(artifact: str, reason: str) -> NotRun:
    return NotRun(artifact=artifact, target="host", reason=reason)


def _row_name(artifact: str, threads: int, batch: int) -> str:
    return f"{artifact}, {count_of(threads, 'thread')}, batch {batch}"


def _no_row(row: BenchRow) -> str:
    return f"the baseline has no row with {count_of(row.threads, 'thread')} and batch {row.batch}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise ManifestError(f"the baseline {path} cannot be read: {e.strerror}") from e
