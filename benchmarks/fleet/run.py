"""verify and bench on a fleet: a result for each device, put together, and by model of device."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pocketvae.benchmarks.devices import Device, DeviceState, Fleet
from pocketvae.benchmarks.fleet.config import DeviceConfig, FleetConfig
from pocketvae.benchmarks.fleet.device_target import DeviceTarget
from pocketvae.benchmarks.fleet.models import latency_of_models, parity_of_models
from pocketvae.benchmarks.fleet.schedule import Ended, Work, run_devices
from pocketvae.benchmarks.latency.config import BenchConfig
from pocketvae.benchmarks.latency.measure.remote_latency import Timer, check_times
from pocketvae.benchmarks.latency.results import BenchResult
from pocketvae.benchmarks.not_run import ALL, NotRun
from pocketvae.benchmarks.parity.results import CONTENT, VerifyResult
from pocketvae.benchmarks.parity.verify import (
    Verification,
    Verifier,
    check_threads,
    read_limits,
    save_worst,
    verify_opened,
)
from pocketvae.benchmarks.targets import Target
from pocketvae.bundle.bundle import Bundle, opened, opened_with_damage
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError
from pocketvae.processes.deadline import Deadline
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.reporting.text import count_of
from pocketvae.system.environment import current_environment
from pocketvae.system.files import StrPath


@dataclass(frozen=True, kw_only=True)
class FleetVerification:
    """A verification on a fleet, and what ended it early: to be raised again once the result is kept."""

    result: VerifyResult
    interruption: KeyboardInterrupt | None = None


@dataclass(frozen=True, kw_only=True)
class FleetBenchmark:
    """A benchmark on a fleet; see `FleetVerification`."""

    result: BenchResult
    interruption: KeyboardInterrupt | None = None


def verify_fleet(
    bundle: StrPath | Bundle,
    fleet: FleetConfig,
    *,
    num_threads: int = 1,
    config: Path | None = None,
    worst: Path | None = None,
    progress: ProgressCallback = ignore_progress,
) -> FleetVerification:
    """Verifies a bundle on every device of a fleet, as `verify_in_detail` does on one target.

    Args:
        bundle: The bundle, or its path; one that was opened with damage reports it.
        fleet: The devices.
        num_threads: Threads used by one call.
        config: File of custom limits, as for `verify_in_detail`.
        worst: Folder for the worst inputs, in a folder for each device; None does not write them.
        progress: Called for every artifact of every device.

    Raises:
        ManifestError: the manifest or the goldens are damaged.
        SpecError: `num_threads` is below 1 or too large, or the limits are invalid.
    """
    check_threads(num_threads, [device.made() for device in fleet.devices])
    bundle = opened_with_damage(bundle)
    limits = read_limits(bundle.path, config)
    limits.check(bundle.manifest.artifacts)

    # Of each device at work; another thread asks it for what is done by now, where the device does not end.
    at_work: dict[str, Callable[[str], VerifyResult]] = {}

    def work(device: DeviceConfig, target: Target, deadline: Deadline, step: ProgressCallback) -> VerifyResult:
        named = DeviceTarget(device.name, target, deadline)
        verifier = Verifier(bundle, limits, num_threads, step, 1)
        at_work[device.name] = lambda problem: _kept(bundle, worst, device.name, verifier.so_far(named, problem))
        verifier.run_on(named)
        found = _kept(bundle, worst, device.name, verifier.verification())
        # The arrays of many devices are more than fits.
        at_work[device.name] = lambda _: found
        return found

    # What is wrong with the bundle is said once, as of its limits, and before any device is touched.
    nothing = verify_opened(bundle, [], limits, num_threads=num_threads, progress=progress).result
    run = _run(fleet, bundle.manifest.artifacts, work, at_work, progress, ran=_ran_anything, this_machine_alone=False)
    return FleetVerification(result=_together(nothing, run, fleet), interruption=run.interruption)


def _kept(bundle: Bundle, worst: Path | None, device: str, found: Verification) -> VerifyResult:
    """Writes the worst inputs, where they are wanted, and returns the verdict without their arrays."""
    if worst is None or not found.worst:
        return found.result
    try:
        worst.mkdir(exist_ok=True)
        save_worst(bundle, worst / device, found)
    except OSError as e:
        note = f"{device}: the worst inputs could not be written: {e}"
        return replace(found.result, notes=(*found.result.notes, note))
    return found.result


def _ran_anything(result: VerifyResult) -> bool:
    # Whether a file is the one that was exported is known without the device.
    return any(check.metric != CONTENT for check in result.checks)


def _together(nothing: VerifyResult, run: _Run[VerifyResult], fleet: FleetConfig) -> VerifyResult:
    """Returns the results of all devices as one; `nothing` is that of none."""
    found = run.results.values()
    checks = tuple(check for item in found for check in item.checks)
    return replace(
        nothing,
        passed=bool(checks) and not run.not_run and all(check.passed for check in checks),
        checks=checks,
        not_run=run.not_run,
        figures=tuple(figure for item in found for figure in item.figures),
        notes=tuple(dict.fromkeys(note for item in (nothing, *found) for note in item.notes)),
        worst=tuple(worst for item in found for worst in item.worst),
        diagnoses=tuple(diagnosis for item in found for diagnosis in item.diagnoses),
        declined=tuple(declined for item in found for declined in item.declined),
        remarks=tuple(remark for item in found for remark in item.remarks),
        fleet=replace(run.record, parity=parity_of_models(checks, _models(fleet))),
    )


def bench_fleet(
    bundle: StrPath | Bundle, fleet: FleetConfig, config: BenchConfig, *, progress: ProgressCallback = ignore_progress
) -> FleetBenchmark:
    """Times a bundle on every device of a fleet, as `bench_targets` does on one target.

    Devices of this machine come last and take turns, with nothing else at work.

    Args:
        bundle: The bundle, or its path.
        fleet: The devices; one may be this machine.
        config: Its threads and artifacts apply, with a batch size of 1.
        progress: Called for every artifact of every device.

    Raises:
        ManifestError: the bundle is damaged.
        SpecError: an artifact is unknown, or time on a target is meaningless.
    """
    for device in fleet.devices:
        _check_times(device)
    bundle = opened(bundle)
    artifacts = config.chosen(bundle.manifest.artifacts)

    at_work: dict[str, Callable[[str], BenchResult]] = {}

    def work(device: DeviceConfig, target: Target, deadline: Deadline, step: ProgressCallback) -> BenchResult:
        named = DeviceTarget(device.name, target, deadline)
        timer = Timer(bundle, config, step)
        at_work[device.name] = lambda problem: timer.so_far(named, problem)
        timer.run_on(named)
        return timer.result()

    run = _run(
        fleet, artifacts, work, at_work, progress, ran=lambda item: bool(item.elsewhere), this_machine_alone=True
    )
    rows = tuple(row for item in run.results.values() for row in item.elsewhere)
    result = BenchResult(
        bundle=bundle.manifest.name,
        environment=current_environment(),
        results=(),
        elsewhere=rows,
        not_run=run.not_run,
        fleet=replace(run.record, latency=latency_of_models(rows, _models(fleet))),
    )
    return FleetBenchmark(result=result, interruption=run.interruption)


def _check_times(device: DeviceConfig) -> None:
    try:
        check_times(device.made())
    except SpecError as e:
        raise SpecError(f"device {device.name}: {e}: --select takes the others by their labels") from e


class _HasNotRun(Protocol):
    @property
    def not_run(self) -> tuple[NotRun, ...]: ...


_Result = TypeVar("_Result", bound=_HasNotRun)


@dataclass(frozen=True, kw_only=True)
class _Run(Generic[_Result]):
    results: dict[str, _Result]
    not_run: tuple[NotRun, ...]
    record: Fleet
    interruption: KeyboardInterrupt | None


def _run(
    fleet: FleetConfig,
    artifacts: Sequence[ArtifactRecord],
    work: Work[_Result],
    at_work: Mapping[str, Callable[[str], _Result]],
    progress: ProgressCallback,
    *,
    ran: Callable[[_Result], bool],
    this_machine_alone: bool,
) -> _Run[_Result]:
    def so_far(name: str, problem: str) -> _Result | None:
        return at_work[name](problem) if name in at_work else None

    started = time.monotonic()
    finished = run_devices(fleet, work, progress, this_machine_alone=this_machine_alone, so_far=so_far)
    results: dict[str, _Result] = {}
    not_run: list[NotRun] = []
    devices = []
    for device in fleet.devices:
        ended = finished.by_device[device.name]
        target = device.made()
        wanted = [artifact.name for artifact in artifacts if not target.declines(artifact)]
        if ended.result is None:
            lost = [NotRun(artifact=name, target=device.name, reason=ended.problem) for name in wanted or [ALL]]
        else:
            results[device.name], lost = ended.result, list(ended.result.not_run)
            if ended.problem and not lost:
                # Everything ran, and then something went wrong: not to be kept quiet.
                lost = [NotRun(artifact=ALL, target=device.name, reason=ended.problem)]
        not_run += lost
        is_partial = ended.result is not None and ran(ended.result)
        record = _device(device, ended, lost, is_partial=is_partial)
        devices.append(replace(record, lost_midway=is_partial and is_rest(wanted, lost)))
    return _Run(
        results=results,
        not_run=tuple(not_run),
        record=Fleet(
            name=fleet.name,
            selection=fleet.selection,
            devices=tuple(devices),
            elapsed_s=time.monotonic() - started,
        ),
        interruption=finished.interruption,
    )


def is_rest(wanted: Sequence[str], lost: Sequence[NotRun]) -> bool:
    """Whether all artifacts from one on did not run; of the last one alone it may be the artifact's fault."""
    names = {item.artifact for item in lost}
    missing = [name in names for name in wanted]
    return sum(missing) > 1 and all(missing[missing.index(True) :])


def _device(device: DeviceConfig, ended: Ended[_Result], lost: Sequence[NotRun], *, is_partial: bool) -> Device:
    state = DeviceState.DONE if not lost else DeviceState.PARTIAL if is_partial else DeviceState.LOST
    # The name of the target stands beside it.
    reasons = Counter(item.reason.removeprefix(f"{device.target}: ") for item in lost)
    is_counted = is_partial and all(item.artifact != ALL for item in lost)
    return Device(
        name=device.name,
        target=device.target,
        model=device.model,
        labels=dict(device.labels),
        state=state,
        reason="; ".join(
            f"{count_of(count, 'artifact')}: {reason}" if is_counted or len(reasons) > 1 else reason
            for reason, count in reasons.items()
        ),
        elapsed_s=ended.elapsed_s,
    )


def _models(fleet: FleetConfig) -> dict[str, str]:
    return {device.name: device.model for device in fleet.devices}
