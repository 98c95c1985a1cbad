"""Verification of a bundle: every artifact against the original's golden outputs, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pocketvae.benchmarks.execution.target import THIS_MACHINE
from pocketvae.benchmarks.not_run import ALL, NotRun
from pocketvae.benchmarks.parity.artifact import check_artifact
from pocketvae.benchmarks.parity.checks import attributed, ceiling_checks
from pocketvae.benchmarks.parity.damage import damage_on
from pocketvae.benchmarks.parity.figures import output_figures
from pocketvae.benchmarks.parity.layers import layer_reports
from pocketvae.benchmarks.parity.limits import CONFIG_NAME, Limits, parse_limits
from pocketvae.benchmarks.parity.results import Check, Diagnosis, Measurement, Remark, VerifyResult
from pocketvae.benchmarks.parity.triangulation import Case, Triangulation
from pocketvae.benchmarks.parity.worst import WorstCase, worst_case
from pocketvae.benchmarks.targets import Target, TargetRun, make_target
from pocketvae.bundle.bundle import Bundle, Goldens, opened_with_damage
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ManifestError, SpecError, TargetError
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import Component
from pocketvae.system import limits as ceilings
from pocketvae.system.environment import current_environment
from pocketvae.system.files import StrPath, write_bytes


@dataclass(frozen=True, kw_only=True)
class Verification:
    """A verdict with the arrays of the worst inputs, and the custom limits that it was made with."""

    result: VerifyResult
    worst: tuple[WorstCase, ...]
    limits: Limits = field(default_factory=Limits)


def verify_bundle(
    bundle: StrPath | Bundle,
    *,
    targets: Sequence[str] = ("host",),
    num_threads: int = 1,
    config: Path | None = None,
    progress: ProgressCallback = ignore_progress,
) -> VerifyResult:
    """Returns only the verdict; see `verify_in_detail`."""
    return verify_in_detail(bundle, targets=targets, num_threads=num_threads, config=config, progress=progress).result


def check_threads(count: int, targets: Sequence[Target]) -> None:
    """Checks a number of threads against this machine, unless every target is another one.

    Raises:
        SpecError: it is below 1 or too large.
    """
    if all(target.machine() != THIS_MACHINE for target in targets):
        ceilings.check_number(count, "threads", most=ceilings.MOST_THREADS)
    else:
        ceilings.check_threads(count)


def verify_in_detail(
    bundle: StrPath | Bundle,
    *,
    targets: Sequence[str] = ("host",),
    num_threads: int = 1,
    config: Path | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Verification:
    """Runs every artifact on every golden sample and checks it against its limits.

    All checks run before there is a verdict. An artifact without tolerances fails: nothing passes by omission. One
    that fails is diagnosed at once, while the target still has it. A file that is missing or was changed since the
    export fails the check `content`, and all that does not need it is verified.

    Args:
        bundle: The bundle, or its path; one that was opened with damage reports it.
        targets: Names of targets; `host` is this machine.
        num_threads: Threads used by one call.
        config: File of custom limits; None means `pocketvae.toml` next to the bundle, if it exists.
        progress: Called for every artifact.

    Raises:
        ManifestError: the manifest is damaged, or goldens that have the recorded hash are not what they must be.
        SpecError: a target is unknown, `num_threads` is below 1 or too large, or `config` is invalid.
    """
    chosen = [make_target(name) for name in targets]
    check_threads(num_threads, chosen)
    bundle = opened_with_damage(bundle)
    limits = read_limits(bundle.path, config)
    limits.check(bundle.manifest.artifacts)
    return verify_opened(bundle, chosen, limits, num_threads=num_threads, progress=progress)


def verify_opened(
    bundle: Bundle, targets: Sequence[Target], limits: Limits, *, num_threads: int, progress: ProgressCallback
) -> Verification:
    """Verifies a bundle that is open; see `verify_in_detail`.

    The bundle may have some of a whole one's artifacts alone: the caller checks that `limits` names what the whole has.

    Raises:
        ManifestError: the goldens are damaged.
    """
    verifier = Verifier(bundle, limits, num_threads, progress, len(targets))
    for target in targets:
        verifier.run_on(target)
    return verifier.verification()


class Verifier:
    """The checks so far, target by target."""

    def __init__(
        self, bundle: Bundle, limits: Limits, num_threads: int, progress: ProgressCallback, target_count: int
    ) -> None:
        """Checks nothing yet; see `verify_opened`."""
        self._limits, self._num_threads, self._progress = limits, num_threads, progress
        self._whole, self._bundle = bundle, bundle.intact()
        self._total = len(bundle.manifest.artifacts) * target_count
        self._goldens = {component: _goldens(self._bundle, component) for component in _components(self._bundle)}
        self._checks: list[Check] = []
        self._not_run: list[NotRun] = []
        self._figures: list[Measurement] = []
        self._worst: list[WorstCase] = []
        self._diagnoses: list[Diagnosis] = []
        self._declined: list[NotRun] = []
        self._remarks: list[Remark] = []
        # Names of the artifacts that need no more checks on a target, each with the target's.
        self._ended: set[tuple[str, str]] = set()
        self._done = self._targets_done = 0

    def run_on(self, target: Target) -> None:
        """Checks every artifact on one target; if it cannot be used, only its own results are missing."""
        damage = damage_on(self._whole, target.name)
        self._checks += damage.checks
        self._not_run += damage.not_run
        self._diagnoses += damage.diagnoses
        for failure in self._bundle.manifest.failures:
            self._miss(failure.artifact, target, f"export could not make it: {failure.reason}")
        artifacts = self._accepted(target)
        try:
            reason = target.unavailable()
            if reason is not None:
                raise TargetError(reason)
            with target.entered(self._bundle) as run:
                for artifact in artifacts:
                    for batch in target.batches(artifact):
                        self._check(artifact, batch, target, run)
                    self._ended.add((artifact.name, target.name))
                    self._step(1, artifact.name)
        except TargetError as e:
            seen = {check.artifact for check in self._checks if check.target == target.name}
            seen |= {item.artifact for item in self._not_run if item.target == target.name}
            for artifact in artifacts:
                if artifact.name not in seen:
                    self._miss(artifact.name, target, str(e))
            if not artifacts:
                # It was asked for, and what it would have run is no reason to keep quiet.
                self._miss(ALL, target, str(e))
        # What this target declined or could not run is done as well.
        self._targets_done += 1
        self._step(len(self._whole.manifest.artifacts) * self._targets_done - self._done, target.name)

    def _step(self, count: int, detail: str) -> None:
        if count:
            self._done += count
            self._progress(Progress(stage="verifying", done=self._done, total=self._total, detail=detail))

    def verification(self) -> Verification:
        """Returns the verdict over all targets."""
        result = VerifyResult(
            passed=bool(self._checks) and not self._not_run and all(check.passed for check in self._checks),
            bundle=self._bundle.manifest.name,
            environment=current_environment(),
            checks=tuple(self._checks),
            not_run=tuple(self._not_run),
            figures=tuple(self._figures),
            worst=tuple(case.found for case in self._worst),
            diagnoses=tuple(self._diagnoses),
            declined=tuple(self._declined),
            remarks=tuple(self._remarks),
            image_span=self._bundle.manifest.vae.range_span,
            more_outputs=self._bundle.manifest.vae.more_outputs,
            integers={item.name: item.integers for item in self._whole.manifest.artifacts if item.integers},
        )
        return Verification(result=result, worst=tuple(self._worst), limits=self._limits)

    def so_far(self, target: Target, problem: str) -> Verification:
        """Returns what has been checked until now, while another thread may still be at it on the only target.

        Args:
            target: What it runs on.
            problem: Why the rest counts as not run.
        """
        # First: what ends from here on is reported as not run, and never left out.
        ended = set(self._ended)
        found = self.verification()
        known = {item.artifact for item in found.result.not_run}
        rest = tuple(
            NotRun(artifact=artifact.name, target=target.name, reason=problem)
            for artifact in self._bundle.manifest.artifacts
            if not target.declines(artifact) and (artifact.name, target.name) not in ended
            if artifact.name not in known
        )
        not_run = (*found.result.not_run, *rest)
        return replace(found, result=replace(found.result, passed=found.result.passed and not rest, not_run=not_run))

    def _check(self, artifact: ArtifactRecord, batch: int, target: Target, run: TargetRun) -> None:
        goldens, tolerances = (
            self._goldens[artifact.component],
            self._limits.apply(target.judged(self._bundle, artifact)),
        )
        in_detail = batch == artifact.batches[0] and goldens.is_whole
        try:
            checked = check_artifact(
                run,
                target.name,
                self._bundle,
                artifact,
                tolerances,
                goldens,
                num_threads=self._num_threads,
                batch=batch,
                in_detail=in_detail,
            )
        except TargetError as e:
            self._miss(artifact.name, target, str(e))
            return
        self._checks += attributed(checked.checks, target.runtime(artifact))
        if checked.passed and batch == artifact.batches[0]:
            self._checks += self._ceiling_checks(artifact, target, tolerances, checked.expected)
        deviations = checked.deviations
        if deviations is None or not in_detail:
            return
        names = (artifact.name, target.name)
        self._figures += [
            Measurement(artifact=names[0], target=names[1], output="", stratum="", metric=metric, value=value)
            for metric, value in run.figures(artifact).items()
        ]
        self._remarks += [Remark(artifact=names[0], target=names[1], text=text) for text in run.remarks(artifact)]
        self._figures += output_figures(*names, artifact.component, deviations)
        self._worst.append(worst_case(*names, artifact.component, goldens, deviations))
        if not checked.passed:
            case = Case(
                artifact=artifact,
                target=target.name,
                tolerances=tolerances,
                inputs=goldens.inputs,
                deviations=deviations,
            )
            triangulation = Triangulation(self._bundle, target, run, self._num_threads)
            self._diagnoses.append(triangulation.diagnose(case))

    def _ceiling_checks(
        self, artifact: ArtifactRecord, target: Target, tolerances: Sequence[Tolerance], expected: dict[str, FloatArray]
    ) -> list[Check]:
        # A single file has too few goldens to know the range of anything but an image, which is made for one.
        whole = bool(self._bundle.manifest.goldens)
        known = {name: values for name, values in expected.items() if whole or name == self._bundle.manifest.vae.output}
        return ceiling_checks(artifact, target.name, tolerances, known, self._bundle.manifest.vae)

    def _accepted(self, target: Target) -> list[ArtifactRecord]:
        """Returns the artifacts that a target supports, and records those that it does not."""
        reasons = {artifact.name: target.declines(artifact) for artifact in self._bundle.manifest.artifacts}
        self._declined += [
            NotRun(artifact=name, target=target.name, reason=reason) for name, reason in reasons.items() if reason
        ]
        return [artifact for artifact in self._bundle.manifest.artifacts if not reasons[artifact.name]]

    def _miss(self, artifact: str, target: Target, reason: str) -> None:
        item = NotRun(artifact=artifact, target=target.name, reason=reason)
        # Several batch sizes may have the same reason.
        if item not in self._not_run:
            self._not_run.append(item)


def check_limits(bundle: StrPath | Bundle, config: Path | None = None) -> None:
    """Checks limits as `verify_in_detail` does, for callers that do other work before it.

    Args:
        bundle: As for `verify_in_detail`.
        config: As for `verify_in_detail`.

    Raises:
        ManifestError: the bundle is damaged.
        SpecError: the limits are invalid, or name something that the bundle does not have.
    """
    bundle = opened_with_damage(bundle)
    read_limits(bundle.path, config).check(bundle.manifest.artifacts)


def add_layers(bundle: StrPath | Bundle, verification: Verification) -> Verification:
    """Returns a verification with every artifact that is not float32 compared layer by layer, on this machine.

    Args:
        bundle: The verified bundle, or its path.
        verification: Verification of the bundle.

    Raises:
        ManifestError: the bundle or its goldens are damaged.
    """
    layers = layer_reports(opened_with_damage(bundle).intact())
    return replace(verification, result=replace(verification.result, layers=layers))


def save_worst(bundle: StrPath | Bundle, folder: Path, verification: Verification) -> None:
    """Writes every worst input: its arrays as `.npy` and its pictures as `.png`.

    Args:
        bundle: The verified bundle, or its path.
        folder: Created if it does not exist; files of the same names are replaced.
        verification: Verification of the bundle.

    Raises:
        ManifestError: the bundle is damaged.
    """
    vae = opened_with_damage(bundle).manifest.vae
    folder.mkdir(exist_ok=True)
    for case in verification.worst:
        for name, content in case.files(vae).items():
            write_bytes(folder / name, content)


def read_limits(bundle: Path, config: Path | None) -> Limits:
    """Reads the limits from the given file, or from the one next to the bundle.

    Raises:
        SpecError: the file is invalid.
    """
    path = config or bundle.absolute().parent / CONFIG_NAME
    if config is None and not path.is_file():
        return Limits()
    try:
        return parse_limits(path.read_text("utf-8"), str(config) if config else CONFIG_NAME)
    except UnicodeDecodeError as e:
        raise SpecError(f"{path} must be text in UTF-8: {e.reason} at byte {e.start}") from e


def _components(bundle: Bundle) -> tuple[Component, ...]:
    return tuple(dict.fromkeys(artifact.component for artifact in bundle.manifest.artifacts))


def _goldens(bundle: Bundle, component: Component) -> Goldens:
    """Loads goldens that belong to the artifacts of a component.

    Raises:
        ManifestError: there are none, or they belong to another model: their names or shapes do not match.
    """
    goldens = bundle.goldens(component)
    if goldens.count < 1:
        raise ManifestError(f"the bundle's goldens for the {component} are empty")
    artifact = next(item for item in bundle.manifest.artifacts if item.component is component)
    for role, tensors, arrays in (
        ("input", artifact.inputs, goldens.inputs),
        ("output", artifact.outputs, goldens.outputs),
    ):
        declared = {spec.name: spec.shape[1:] for spec in tensors}
        # Thinned outputs only keep every n-th value, so their shape says nothing.
        found = {name: array.shape[1:] for name, array in arrays.items() if goldens.steps.get(name, 1) == 1}
        # A scorer's window is there in two units, of which each of its files takes one.
        known = arrays.keys() if component is not Component.SCORER or role == "output" else declared.keys() & arrays
        if declared.keys() != known or any(declared[name] != found[name] for name in declared.keys() & found):
            raise ManifestError(
                f"the {component}'s goldens belong to another model: {role}s must be {declared}, got {found}"
            )
    return goldens
