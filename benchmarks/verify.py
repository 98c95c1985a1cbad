"""Parity: every artifact against the original model's golden outputs, without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pocketvae.benchmarks.environment import current_environment
from pocketvae.benchmarks.results import Check, NotRun, VerifyResult
from pocketvae.bundle import Bundle, Goldens, open_bundle
from pocketvae.errors import ManifestError, PocketVaeError, SpecError, TargetError, unknown_name
from pocketvae.manifest import ArtifactRecord, Tolerance
from pocketvae.metrics import measure
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.runners import FloatArray, Runner, open_runner, run_samples
from pocketvae.spec import Component, TensorSpec

TARGETS = ("host",)
# Outputs whose range the manifest knows: no runtime may leave it by more than rounding.
_BOUNDED = frozenset({"image"})
_RANGE_SLACK = 1e-6


def verify_bundle(
    path: Path,
    *,
    targets: Sequence[str] = ("host",),
    num_threads: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> VerifyResult:
    """Runs every artifact, with each of its batch sizes, on every golden sample and checks it against its tolerances.

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
    for target in targets:
        if target not in TARGETS:
            raise unknown_name("target", target, TARGETS)
    if num_threads < 1:
        raise SpecError(f"threads must be at least 1, got {num_threads}")
    bundle = open_bundle(path)
    goldens = {component: _goldens(bundle, component) for component in _components(bundle)}
    checks: list[Check] = []
    not_run = [
        NotRun(artifact=failure.artifact, target=target, reason=f"export could not make it: {failure.reason}")
        for failure in bundle.manifest.failures
        for target in targets
    ]
    artifacts = bundle.manifest.artifacts
    for done, artifact in enumerate(artifacts, start=1):
        for target in targets:
            try:
                checks += _check_artifact(bundle, artifact, goldens[artifact.component], target, num_threads)
            except TargetError as e:
                not_run.append(NotRun(artifact=artifact.name, target=target, reason=str(e)))
        progress(Progress(stage="verifying", done=done, total=len(artifacts), detail=artifact.name))
    return VerifyResult(
        passed=bool(checks) and not not_run and all(check.passed for check in checks),
        bundle=bundle.manifest.name,
        environment=current_environment(),
        checks=tuple(checks),
        not_run=tuple(not_run),
    )


def _components(bundle: Bundle) -> tuple[Component, ...]:
    return tuple(dict.fromkeys(artifact.component for artifact in bundle.manifest.artifacts))


def _goldens(bundle: Bundle, component: Component) -> Goldens:
    goldens = bundle.goldens(component)
    if goldens.count < 1:
        raise ManifestError(f"the bundle's goldens for the {component} are empty")
    return goldens


def _check_artifact(
    bundle: Bundle, artifact: ArtifactRecord, goldens: Goldens, target: str, num_threads: int
) -> list[Check]:
    return [
        check
        for batch in artifact.batches
        for check in _check_batch(bundle, artifact, goldens, target, num_threads, batch)
    ]


def _check_batch(
    bundle: Bundle, artifact: ArtifactRecord, goldens: Goldens, target: str, num_threads: int, batch: int
) -> list[Check]:
    make = _CheckMaker(artifact.name, target, batch)
    path, vae = bundle.artifact_path(artifact), bundle.manifest.vae
    try:
        runner = open_runner(path, artifact.format, num_threads=num_threads, batch=batch)
    except TargetError:
        raise
    except PocketVaeError as e:
        return [make.structural("loads", str(e))]
    with runner:
        problem = _interface_problem(artifact, runner)
        checks = [make.structural("loads", ""), make.structural("interface", problem)]
        if problem:
            return checks
        try:
            outputs = run_samples(runner, goldens.inputs, vae.image_range)
        except Exception as e:  # a runtime may raise anything; the other artifacts still run
            return [*checks, make.structural("runs", f"{type(e).__name__}: {str(e)[:200]}")]
    expected = {name: _float32(values) for name, values in goldens.outputs.items()}
    checks += [make.structural("finite", _finite_problem(outputs[name]), name) for name in expected]
    checks += [
        make.structural("range", _range_problem(outputs[name], vae.image_range), name)
        for name in expected
        if name in _BOUNDED and vae.range_is_strict
    ]
    if not artifact.tolerances:
        checks.append(make.structural("tolerances", "the manifest has no tolerance for this artifact"))
    return checks + [make.tolerance(tolerance, expected, outputs) for tolerance in artifact.tolerances]


class _CheckMaker:
    """Makes checks of one artifact on one target, with one batch size."""

    def __init__(self, artifact: str, target: str, batch: int) -> None:
        self._artifact, self._target, self._batch = artifact, target, batch

    def structural(self, metric: str, problem: str, output: str = "") -> Check:
        """A check without a number: it passes where there is no problem."""
        return Check(
            artifact=self._artifact,
            target=self._target,
            output=output,
            metric=metric,
            value=None,
            limit=None,
            limit_source="",
            passed=not problem,
            batch=self._batch,
            detail=problem,
        )

    def tolerance(
        self, tolerance: Tolerance, expected: Mapping[str, FloatArray], outputs: Mapping[str, FloatArray]
    ) -> Check:
        """A check of a number against the manifest's limit."""
        detail = ""
        try:
            value = measure(tolerance, expected, outputs)
        except PocketVaeError as e:
            value, detail = math.nan, str(e)
        if not math.isfinite(value):
            detail = detail or "the deviation is not finite"
        elif not value <= tolerance.limit:
            detail = f"{value:.3g} is above the limit of {tolerance.limit:.3g}"
        return Check(
            artifact=self._artifact,
            target=self._target,
            output=tolerance.output,
            metric=tolerance.metric,
            value=value if math.isfinite(value) else None,
            limit=tolerance.limit,
            limit_source=tolerance.source,
            passed=not detail,
            batch=self._batch,
            detail=detail,
        )


def _interface_problem(artifact: ArtifactRecord, runner: Runner) -> str:
    """Says how the file's interface differs from the manifest's; empty where it does not."""
    for role, declared, found in (
        ("input", artifact.inputs, runner.inputs),
        ("output", artifact.outputs, runner.outputs),
    ):
        names = {spec.name for spec in declared}
        if names != set(found):
            return f"{role}s must be {sorted(names)}, got {sorted(found)}"
        for spec in (tensor.with_batch(runner.batch) for tensor in declared):
            if spec != found[spec.name]:
                return f"{role} {spec.name!r} must be {_describe(spec)}, got {_describe(found[spec.name])}"
    return ""


def _describe(spec: TensorSpec) -> str:
    scale = spec.quantization
    return f"{list(spec.shape)} {spec.dtype}" + (f" scale {scale.scale:g} zero {scale.zero_point}" if scale else "")


def _finite_problem(values: FloatArray) -> str:
    bad = int(np.count_nonzero(~np.isfinite(values)))
    return f"{bad} of {values.size} values are NaN or infinite" if bad else ""


def _range_problem(values: FloatArray, limits: tuple[float, float]) -> str:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    inside = low >= limits[0] - _RANGE_SLACK and high <= limits[1] + _RANGE_SLACK
    return "" if inside else f"values must be in [{limits[0]:g}, {limits[1]:g}], got {low:.4g} to {high:.4g}"


def _float32(values: np.ndarray) -> FloatArray:
    return values.astype(np.float32, copy=False)
