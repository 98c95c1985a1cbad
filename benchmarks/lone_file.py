"""Parity of one exported file without its bundle: the golden pairs and tolerances are inside it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pocketvae.benchmarks.environment import current_environment
from pocketvae.benchmarks.parity.checks import (
    fault_checks,
    finite_problem,
    output_checks,
    range_problem,
    structural_check,
)
from pocketvae.benchmarks.results import Check, NotRun, VerifyResult
from pocketvae.benchmarks.targets import ArtifactFault, Target, make_target
from pocketvae.bundle import Bundle, Goldens
from pocketvae.embedded import LoneFile, open_lone_file
from pocketvae.errors import SpecError, TargetError
from pocketvae.files import sha256_bytes, write_bytes
from pocketvae.manifest import ArtifactRecord, CalibrationRecord, FileRecord, Manifest
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.runners import FloatArray

_WITHOUT_GOLDENS = "the file was exported without golden pairs: verify the bundle that it came from"


def verify_file(
    path: Path,
    *,
    targets: Sequence[str] = ("host",),
    num_threads: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> VerifyResult:
    """Runs one file on the golden pairs inside it and checks it against the tolerances inside it.

    A file whose model is not the one that was exported fails the check `content`; what it computes is checked too.

    Args:
        path: A `.tflite` or `.onnx` file.
        targets: Where to run; `host` is this machine.
        num_threads: Inside one inference.
        progress: Told of every target.

    Raises:
        ManifestError: the file has no pocketvae metadata, or it is damaged.
        SpecError: there is no such file, a target is unknown, or `num_threads` is below 1.
    """
    chosen = [make_target(name) for name in targets]
    if num_threads < 1:
        raise SpecError(f"threads must be at least 1, got {num_threads}")
    lone = open_lone_file(path)
    goldens = lone.goldens()
    checks: list[Check] = []
    not_run: list[NotRun] = []
    for done, target in enumerate(chosen, start=1):
        checks.append(structural_check(path.name, target.name, "content", _content_problem(lone)))
        try:
            if goldens is None:
                raise TargetError(_WITHOUT_GOLDENS)
            checks += _run(lone, goldens, target, num_threads)
        except TargetError as e:
            not_run.append(NotRun(artifact=path.name, target=target.name, reason=str(e)))
        progress(Progress(stage="verifying", done=done, total=len(chosen), detail=path.name))
    return VerifyResult(
        passed=not not_run and all(check.passed for check in checks),
        bundle=lone.record.name,
        environment=current_environment(),
        checks=tuple(checks),
        not_run=tuple(not_run),
    )


def _content_problem(lone: LoneFile) -> str:
    if lone.content_sha256 == lone.record.content_sha256:
        return ""
    return "the model in the file was changed since it was exported: its SHA-256 is not the one in its metadata"


def _run(lone: LoneFile, goldens: Goldens, target: Target, num_threads: int) -> list[Check]:
    reason = target.unavailable()
    if reason is not None:
        raise TargetError(reason)
    name, record = lone.path.name, lone.record
    # Targets take bundles. What was read and checked is what runs, whatever happens to the file meanwhile.
    with tempfile.TemporaryDirectory(prefix="pocketvae-") as folder:
        bundle = _bundle_of_one(lone, Path(folder))
        with target.open(bundle) as run:
            try:
                outputs = run.outputs(bundle.manifest.artifacts[0], goldens.inputs, num_threads=num_threads)
            except ArtifactFault as e:
                return fault_checks(name, target.name, e.check, str(e))
    expected = {key: values.astype(np.float32, copy=False) for key, values in goldens.outputs.items()}
    compared = lone.select(outputs)
    checks = output_checks(name, target.name, record.vae, record.tolerances, expected, compared)
    return checks + _checks_of_the_rest(lone, target, outputs, compared)


def _checks_of_the_rest(
    lone: LoneFile, target: Target, outputs: Mapping[str, FloatArray], compared: Mapping[str, FloatArray]
) -> list[Check]:
    """Returns the checks of values that the golden pairs leave out: they too must be finite and in range."""
    checks = []
    for key, values in outputs.items():
        if values.size != compared[key].size:
            checks.append(structural_check(lone.path.name, target.name, "finite", finite_problem(values), key))
            if lone.record.vae.range_is_strict:
                problem = range_problem(values, lone.record.vae.image_range)
                checks.append(structural_check(lone.path.name, target.name, "range", problem, key))
    return checks


def _bundle_of_one(lone: LoneFile, folder: Path) -> Bundle:
    record = lone.record
    name = record.spec.filename
    write_bytes(folder / name, lone.content)
    file = FileRecord(path=name, sha256=sha256_bytes(lone.content), size_bytes=len(lone.content))
    artifact = ArtifactRecord(
        component=record.component,
        precision=record.precision,
        format=record.format,
        file=file,
        inputs=tuple(item.tensor for item in record.inputs),
        outputs=tuple(item.tensor for item in record.outputs),
        tolerances=record.tolerances,
    )
    manifest = Manifest(
        name=record.name,
        vae=record.vae,
        artifacts=(artifact,),
        goldens=(),
        calibration=CalibrationRecord(seed=0, latents=(), image_count=0, sha256=""),
        original={},
    )
    return Bundle(path=folder, manifest=manifest)
