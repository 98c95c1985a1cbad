"""Parity of a single file without its bundle, with the golden pairs and tolerances inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.checks import structural_check
from pocketvae.benchmarks.parity.limits import Limits
from pocketvae.benchmarks.parity.results import CONTENT, Culprit, Diagnosis, VerifyResult
from pocketvae.benchmarks.parity.verify import Verification, check_threads, read_limits, verify_opened
from pocketvae.benchmarks.targets import Target, make_target
from pocketvae.bundle.bundle import Bundle, Goldens
from pocketvae.bundle.embedded import LoneFile, open_lone_file
from pocketvae.bundle.manifest import MANIFEST_NAME, CalibrationRecord, FileRecord, Manifest
from pocketvae.documents import encode
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.spec import Component
from pocketvae.system.environment import current_environment
from pocketvae.system.files import write_bytes, write_text
from pocketvae.system.temporary import temporary_directory

_CHANGED = "the file itself changed after export: copy or export it again"
_WITHOUT_GOLDENS = "the file was exported without golden pairs: verify the bundle that it came from"


def verify_file(
    path: Path,
    *,
    targets: Sequence[str] = ("host",),
    num_threads: int = 1,
    config: Path | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Verification:
    """Runs one file on the golden pairs inside it and checks it against the tolerances inside it.

    A file whose model was changed after export fails the check `content`; its outputs are checked as well.

    Args:
        path: A `.tflite` or `.onnx` file.
        targets: Names of targets; `host` is this machine.
        num_threads: Threads used by one call.
        config: File of custom limits.
        progress: Called for every target.

    Raises:
        ManifestError: the file has no pocketvae metadata, or it is damaged.
        SpecError: the file does not exist, a target is unknown, `num_threads` is below 1, or `config` is invalid.
    """
    chosen = [make_target(name) for name in targets]
    check_threads(num_threads, chosen)
    lone = open_lone_file(path)
    goldens = lone.goldens()
    limits = read_limits(path, config) if config else Limits()
    if goldens is None:
        return _with_content_checks(_nothing_run(lone, chosen), lone, chosen)
    # Targets take bundles. The content that was read and checked is what runs, even if the file changes meanwhile.
    with temporary_directory() as folder:
        bundle = _bundle_of_one(lone, folder, goldens)
        limits.check(bundle.manifest.artifacts)
        found = verify_opened(bundle, chosen, limits, num_threads=num_threads, progress=progress)
    return _with_content_checks(found, lone, chosen)


@dataclass(frozen=True, kw_only=True)
class _BundleOfOne(Bundle):
    """A bundle of a single file, whose goldens are not on disk."""

    pairs: Goldens

    def goldens(self, component: Component) -> Goldens:
        """See `Bundle.goldens`."""
        return self.pairs


def _bundle_of_one(lone: LoneFile, folder: Path, goldens: Goldens) -> Bundle:
    record = lone.record
    artifact = record.artifact(FileRecord.of(record.spec.filename, lone.content))
    write_bytes(folder / artifact.name, lone.content)
    manifest = Manifest(
        name=record.name,
        vae=record.vae,
        artifacts=(artifact,),
        goldens=(),
        calibration=CalibrationRecord(seed=0, latents=(), image_count=0, sha256=""),
        original={},
    )
    # A target in another process or on another machine reads the manifest next to the file.
    write_text(folder / MANIFEST_NAME, encode(manifest))
    return _BundleOfOne(path=folder, manifest=manifest, pairs=goldens)


def _nothing_run(lone: LoneFile, targets: Sequence[Target]) -> Verification:
    name = lone.record.spec.filename
    not_run = tuple(NotRun(artifact=name, target=target.name, reason=_WITHOUT_GOLDENS) for target in targets)
    result = VerifyResult(
        passed=False, bundle=lone.record.name, environment=current_environment(), checks=(), not_run=not_run
    )
    return Verification(result=result, worst=())


def _with_content_checks(found: Verification, lone: LoneFile, targets: Sequence[Target]) -> Verification:
    """Adds a check of whether the model is the one that was exported for each target.

    A target that supports no such file has it only where it fails: of its own it would look like a pass.
    """
    same = lone.content_sha256 == lone.record.content_sha256
    problem = "" if same else "the model in the file was changed after export: its SHA-256 differs"
    name = lone.record.spec.filename
    asked = {check.target for check in found.result.checks} | {item.target for item in found.result.not_run}
    checks = [
        structural_check(name, target.name, CONTENT, problem) for target in targets if problem or target.name in asked
    ]
    result = replace(found.result, passed=found.result.passed and same, checks=(*checks, *found.result.checks))
    if not same:
        # Whatever kernels and layouts say of a model that is not the exported one, this is why it fails.
        culprits = [
            Diagnosis(artifact=name, target=target.name, culprit=Culprit.FILE, evidence=(_CHANGED,))
            for target in targets
        ]
        result = replace(result, diagnoses=tuple(culprits))
    return replace(found, result=result)
