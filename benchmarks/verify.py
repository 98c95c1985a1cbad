"""Parity: every artifact against the original model's golden outputs, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pocketvae.benchmarks.environment import current_environment
from pocketvae.benchmarks.parity.checks import attributed, fault_checks, output_checks
from pocketvae.benchmarks.results import Check, NotRun, VerifyResult
from pocketvae.benchmarks.targets import ArtifactFault, Target, TargetRun, make_target
from pocketvae.bundle import Bundle, Goldens, open_bundle
from pocketvae.errors import ManifestError, SpecError, TargetError
from pocketvae.manifest import ArtifactRecord
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.runners import FloatArray
from pocketvae.spec import Component


def verify_bundle(
    path: Path,
    *,
    targets: Sequence[str] = ("host",),
    num_threads: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> VerifyResult:
    """Runs every artifact on every golden sample and checks it against the manifest's tolerances.

    All checks run before there is a verdict. An artifact without tolerances fails: nothing passes by omission.

    Args:
        path: The bundle.
        targets: Where to run; `host` is this machine.
        num_threads: Inside one inference.
        progress: Told of every artifact.

    Raises:
        ManifestError: the bundle or its goldens are damaged.
        SpecError: a target is unknown, or `num_threads` is below 1.
    """
    chosen = [make_target(name) for name in targets]
    if num_threads < 1:
        raise SpecError(f"threads must be at least 1, got {num_threads}")
    bundle = open_bundle(path)
    verification = _Verification(bundle, num_threads, progress, len(chosen))
    for target in chosen:
        verification.run_on(target)
    return verification.result()


class _Verification:
    """The checks so far, target by target."""

    def __init__(self, bundle: Bundle, num_threads: int, progress: ProgressCallback, target_count: int) -> None:
        self._bundle, self._num_threads, self._progress = bundle, num_threads, progress
        self._total = len(bundle.manifest.artifacts) * target_count
        self._goldens = {component: _goldens(bundle, component) for component in _components(bundle)}
        self._checks: list[Check] = []
        self._not_run: list[NotRun] = []
        self._declined: list[NotRun] = []
        self._done = 0

    def run_on(self, target: Target) -> None:
        """Checks every artifact on one target; one that cannot be used costs only what would have run on it."""
        for failure in self._bundle.manifest.failures:
            self._miss(failure.artifact, target, f"export could not make it: {failure.reason}")
        artifacts = self._accepted(target)
        reason = target.unavailable()
        try:
            if reason is not None:
                raise TargetError(reason)
            with target.open(self._bundle) as run:
                for artifact in artifacts:
                    self._check(artifact, target, run)
                    self._done += 1
                    self._progress(
                        Progress(stage="verifying", done=self._done, total=self._total, detail=artifact.name)
                    )
        except TargetError as e:
            seen = {check.artifact for check in self._checks if check.target == target.name}
            seen |= {item.artifact for item in self._not_run if item.target == target.name}
            for artifact in artifacts:
                if artifact.name not in seen:
                    self._miss(artifact.name, target, str(e))

    def result(self) -> VerifyResult:
        """Returns the verdict over all targets."""
        return VerifyResult(
            passed=bool(self._checks) and not self._not_run and all(check.passed for check in self._checks),
            bundle=self._bundle.manifest.name,
            environment=current_environment(),
            checks=tuple(self._checks),
            not_run=tuple(self._not_run),
            declined=tuple(self._declined),
        )

    def _check(self, artifact: ArtifactRecord, target: Target, run: TargetRun) -> None:
        self._checks += attributed(self._artifact_checks(artifact, target, run), target.runtime(artifact))

    def _artifact_checks(self, artifact: ArtifactRecord, target: Target, run: TargetRun) -> list[Check]:
        goldens = self._goldens[artifact.component]
        try:
            outputs = run.outputs(artifact, goldens.inputs, num_threads=self._num_threads)
        except TargetError as e:
            self._miss(artifact.name, target, str(e))
            return []
        except ArtifactFault as e:
            return fault_checks(artifact.name, target.name, e.check, str(e))
        expected = {name: _float32(values) for name, values in goldens.outputs.items()}
        return output_checks(
            artifact.name, target.name, self._bundle.manifest.vae, artifact.tolerances, expected, outputs
        )

    def _accepted(self, target: Target) -> list[ArtifactRecord]:
        """Returns what a target is made for, and notes what it is not."""
        reasons = {artifact.name: target.declines(artifact) for artifact in self._bundle.manifest.artifacts}
        self._declined += [
            NotRun(artifact=name, target=target.name, reason=reason) for name, reason in reasons.items() if reason
        ]
        return [artifact for artifact in self._bundle.manifest.artifacts if not reasons[artifact.name]]

    def _miss(self, artifact: str, target: Target, reason: str) -> None:
        self._not_run.append(NotRun(artifact=artifact, target=target.name, reason=reason))


def _components(bundle: Bundle) -> tuple[Component, ...]:
    return tuple(dict.fromkeys(artifact.component for artifact in bundle.manifest.artifacts))


def _goldens(bundle: Bundle, component: Component) -> Goldens:
    goldens = bundle.goldens(component)
    if goldens.count < 1:
        raise ManifestError(f"the bundle's goldens for the {component} are empty")
    return goldens


def _float32(values: np.ndarray) -> FloatArray:
    return values.astype(np.float32, copy=False)
