"""The export pipeline: a run directory in, a bundle out; the only module of the export room that writes a bundle."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pocketvae.bundle.manifest import (
    MANIFEST_NAME,
    ArtifactRecord,
    CalibrationRecord,
    FailureRecord,
    FileRecord,
    GoldenRecord,
    Manifest,
)
from pocketvae.bundle.quantization import SearchRecord
from pocketvae.bundle.reference import REFERENCE_NAME
from pocketvae.bundle.run import Run, open_run
from pocketvae.documents import encode, encode_line
from pocketvae.errors import ExportError, NoSpaceError, PocketVaeError, SpecError
from pocketvae.export.budgets import LimitRules
from pocketvae.export.config import ExportConfig
from pocketvae.export.convert.interfaces import check_images
from pocketvae.export.embed.embedding import Statement
from pocketvae.export.guide import embed_guide
from pocketvae.export.guide.card import model_card
from pocketvae.export.messages import Converted, ConvertJob, Prepared, WorkerSetup
from pocketvae.export.original.composed import with_parts
from pocketvae.export.preparation import other_way, prepare
from pocketvae.export.quantize.recipe import recipe_name
from pocketvae.export.subject import Subject
from pocketvae.export.worker import SETUP_NAME, array_path
from pocketvae.export.worker_process import WorkerProcess
from pocketvae.keras.files import model_kind
from pocketvae.keras.model_form import Flavour
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.spec import ArtifactSpec, Component, Format
from pocketvae.system import files, folders
from pocketvae.versions import installed_versions


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A finished export.

    Attributes:
        manifest: Manifest of the bundle.
        over_budget: Largest ratio of an error to its limit by artifact, for those above 1.
        doubts: Assumptions about a user-supplied model that may be wrong, as sentences.
    """

    manifest: Manifest
    over_budget: dict[str, float]
    doubts: tuple[str, ...] = ()


def export_run(
    run_path: Path,
    out: Path,
    config: ExportConfig,
    *,
    force: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> ExportResult:
    """Exports a run to a bundle, completely or not at all; an artifact that fails is recorded, the others are made.

    Args:
        run_path: The run directory.
        out: The bundle to create.
        config: Which artifacts to make.
        force: Replace `out` if it exists.
        progress: Called for every artifact.

    Raises:
        ManifestError: the run is damaged.
        ExportError: the models cannot be loaded, or no artifact could be made.
        OutputExistsError: `out` exists and `force` is off.
    """
    files.check_output(out, force=force)
    run = open_run(run_path)
    _check_components(config, run)
    images, record = run.reference_images(), run.record
    subject = Subject(
        name=record.preset,
        vae=record.vae,
        models={component: run.model_path(component) for component in record.vae.components},
        reference=run.path / REFERENCE_NAME,
        calibration_images=len(images.calibration),
        training=record.metrics,
        provenance={"data": record.data, "preset": record.preset, "seed": str(record.seed)},
    )
    return export_subject(subject, out, config, force=force, progress=progress)


def export_subject(
    subject: Subject, out: Path, config: ExportConfig, *, force: bool, progress: ProgressCallback
) -> ExportResult:
    """Exports a subject that was checked; see `export_run`."""
    for recipe in config.recipes.values():
        recipe.check_model(subject.vae)
    check_images(config.artifacts, subject.vae)
    with folders.staged_directory(out, force=force) as bundle:
        work = bundle / ".work"
        work.mkdir()
        setup = WorkerSetup(
            vae=subject.vae,
            statement=_statement(subject, config),
            seed=config.seed,
            models={component: str(path.absolute()) for component, path in subject.models.items()},
            reference=str(subject.reference.absolute()) if subject.reference else "",
            calibration_seeds=config.calibration_seeds,
            forms=subject.forms,
            code=subject.code,
            rewrites=config.rewrites,
            one_by_one=config.allow_batch_dependence,
        )
        (work / SETUP_NAME).write_text(encode_line(setup), "utf-8")
        components = with_parts(config.components, subject.vae)
        prepared, outcomes = _convert_all(work, subject, config, components, progress)
        writer = _BundleWriter(subject=subject, bundle=bundle, work=work, config=config, prepared=prepared)
        return writer.write(outcomes)


def _statement(subject: Subject, config: ExportConfig) -> Statement:
    return Statement(
        name=subject.name,
        licence=config.licence,
        author=config.author,
        sources={component: files.sha256_path(path) for component, path in subject.models.items()},
        with_goldens=config.embedded_goldens,
    )


def _check_components(config: ExportConfig, run: Run) -> None:
    for artifact in config.artifacts:
        if artifact.component not in run.record.vae.exports:
            raise SpecError(f"the run has no {artifact.component}: its prior is N(0, I), which does not need one")


# An artifact that was made, or why there is none.
_Outcome = Converted | str


def _convert_all(
    work: Path,
    subject: Subject,
    config: ExportConfig,
    components: tuple[Component, ...],
    progress: ProgressCallback,
) -> tuple[dict[Component, Prepared], dict[ArtifactSpec, _Outcome]]:
    """Prepares all components, then makes all artifacts with one worker per format."""
    total, lock = len(config.artifacts) + 1, threading.Lock()
    outcomes: dict[ArtifactSpec, _Outcome] = {}
    limit = config.memory_limit_bytes
    # A run's models are Keras 2: TensorFlow need not import Keras 3 beside it, which takes a sixth of its import.
    flavour = {} if subject.forms else {"TF_USE_LEGACY_KERAS": "1"}
    # Converters write temporary files, which a worker that is killed leaves behind: they go with the working folder.
    flavour["TMPDIR"] = str(work)
    workers = {format: WorkerProcess(work, environment=flavour, memory_limit_bytes=limit) for format in config.formats}

    def convert_format(format: Format) -> None:
        for artifact in (artifact for artifact in config.artifacts if artifact.format is format):
            known = prepared[artifact.component]
            job = ConvertJob(
                artifact=artifact,
                rules=_rules(known, subject, config),
                batches=config.batches,
                golden_strata=known.golden_strata,
                recipe=config.recipes.get(recipe_name(artifact)),
            )
            outcome = _convert(workers[format], job, config.time_limit_s)
            with lock:
                outcomes[artifact] = outcome
                progress(Progress(stage="exporting", done=len(outcomes) + 1, total=total, detail=artifact.filename))

    try:
        progress(Progress(stage="exporting", done=0, total=total, detail="goldens of the original"))
        other = WorkerProcess(work, environment=other_way() | flavour, memory_limit_bytes=limit)
        prepared = prepare(
            workers[config.formats[0]],
            other,
            components,
            config.time_limit_s,
            allow_batch_dependence=config.allow_batch_dependence,
        )
        progress(Progress(stage="exporting", done=1, total=total, detail="goldens of the original"))
        with ThreadPoolExecutor(len(workers)) as pool:
            for future in [pool.submit(convert_format, format) for format in workers]:
                _result_or_kill(future, workers)
    except BaseException:
        for worker in workers.values():
            worker.close(kill=True)
        raise
    for worker in workers.values():
        worker.close()
    return prepared, outcomes


def _convert(worker: WorkerProcess, job: ConvertJob, time_limit_s: float) -> _Outcome:
    """Returns an artifact that was made, or why there is none.

    Raises:
        ExportError: a disk is full, so that no other can be made either.
    """
    try:
        return worker.convert(job, time_limit_s)
    except NoSpaceError as e:
        raise ExportError(f"{job.artifact.filename} cannot be written: {e}") from e
    except PocketVaeError as e:
        return str(e)


def _rules(prepared: Prepared, subject: Subject, config: ExportConfig) -> LimitRules:
    return LimitRules(
        floor=prepared.floor,
        image_span=subject.vae.range_span,
        budget=config.budget,
        observed_values=prepared.observed_values,
    )


def _result_or_kill(future: Future[None], workers: Mapping[Format, WorkerProcess]) -> None:
    """Waits for a format's conversions; an interruption ends the workers so that the waiting threads return."""
    try:
        future.result()
    except BaseException:
        for worker in workers.values():
            worker.stop()
        raise


@dataclass(frozen=True, kw_only=True)
class _BundleWriter:
    """Fills a bundle's folder from a working folder."""

    subject: Subject
    bundle: Path
    work: Path
    config: ExportConfig
    prepared: Mapping[Component, Prepared]
    _recipes: dict[str, FileRecord] = field(default_factory=dict)

    def write(self, outcomes: Mapping[ArtifactSpec, _Outcome]) -> ExportResult:
        made: dict[ArtifactSpec, Converted] = {}
        reasons: dict[ArtifactSpec, str] = {}
        for spec in self.config.artifacts:
            outcome = outcomes[spec]
            if isinstance(outcome, Converted):
                made[spec] = outcome
            else:
                reasons[spec] = outcome
        records = tuple(self._artifact(converted) for converted in made.values())
        failures = tuple(FailureRecord(artifact=spec.filename, reason=reason) for spec, reason in reasons.items())
        if not records:
            raise ExportError(f"no artifact could be made; {failures[0].artifact}: {failures[0].reason}")
        subject = self.subject
        manifest = Manifest(
            name=subject.name,
            vae=subject.vae,
            artifacts=records,
            failures=failures,
            goldens=tuple(self._golden(component) for component in self.config.components),
            calibration=self._calibration(),
            original={component: self._original(component) for component in self._with_original()},
            forms={component: form for component, form in subject.forms.items() if component in self.config.components},
            training=subject.training,
            provenance=subject.provenance,
            licence=self.config.licence,
            author=self.config.author,
            versions=installed_versions(),
        )
        over = {spec.filename: item.error_ratio for spec, item in made.items() if item.error_ratio > 1}
        card = self._write("MODEL_CARD.md", model_card(manifest).encode())
        guide = self._write("EMBED.md", embed_guide(manifest, over).encode())
        manifest = replace(manifest, documents=(card, guide, *self._recipes.values()))
        self._remove_work()
        files.write_text(self.bundle / MANIFEST_NAME, encode(manifest))
        return ExportResult(manifest=manifest, over_budget=over, doubts=tuple(self._couplings()))

    def _couplings(self) -> Iterator[str]:
        for component, prepared in self.prepared.items():
            if prepared.coupling:
                yield (
                    f"the {component}'s outputs depend on what else is in the batch, from {prepared.coupling} on: its "
                    f"files are held to what the original returns for one sample at a time"
                )

    def _artifact(self, converted: Converted) -> ArtifactRecord:
        name = converted.record.name
        file = self._write(name, (self.work / name).read_bytes())
        return replace(converted.record, file=file, search=self._search(converted))

    def _search(self, converted: Converted) -> SearchRecord | None:
        search = converted.record.search
        if search is None or converted.recipe is None:
            return search
        path = f"recipes/{converted.recipe.artifact}.json"
        if path not in self._recipes:  # Files that only differ in how they store images share one.
            (self.bundle / "recipes").mkdir(exist_ok=True)
            self._recipes[path] = self._write(path, encode(converted.recipe).encode())
        return replace(search, recipe=path)

    def _golden(self, component: Component) -> GoldenRecord:
        (self.bundle / "golden").mkdir(exist_ok=True)
        vae = self.subject.vae
        return GoldenRecord(
            component=component,
            inputs={spec.name: self._copy_array(component, "input", spec.name) for spec in vae.inputs(component)},
            outputs={name: self._copy_array(component, "output", name) for name in vae.output_names(component)},
            strata=self.prepared[component].golden_strata,
            observed={
                name: self._copy_array(component, "observed", name)
                for name in ("x", "log_scale")
                if array_path(self.work, component, "observed", name).is_file()
            },
        )

    def _copy_array(self, component: Component, role: str, name: str) -> FileRecord:
        content = array_path(self.work, component, role, name).read_bytes()
        return self._write(f"golden/{component}.{role}.{name}.npy", content)

    def _original(self, component: Component) -> FileRecord:
        (self.bundle / "original").mkdir(exist_ok=True)
        model = self.subject.models[component]
        return self._write(f"original/{component}{model_kind(model).value}", model.read_bytes())

    def _with_original(self) -> list[Component]:
        # A SavedModel is a folder, which the manifest names in its provenance but the bundle does not contain.
        forms = self.subject.forms
        folders = {component for component, form in forms.items() if form.flavour is Flavour.SAVED_MODEL}
        return [item for item in self.config.components if not item.is_composed and item not in folders]

    def _calibration(self) -> CalibrationRecord:
        digest = hashlib.sha256()
        for component in (component for component in self.prepared if not component.is_composed):
            for spec in self.subject.vae.inputs(component):
                digest.update(np.load(array_path(self.work, component, "calibration", spec.name)).tobytes())
        decoder = self.prepared.get(Component.DECODER)
        return CalibrationRecord(
            seed=self.config.seed,
            latents=decoder.calibration_strata if decoder else (),
            image_count=self.subject.calibration_images,
            sha256=digest.hexdigest(),
            seed_count=self.config.calibration_seeds,
            coverage=self._coverage() if decoder else {},
        )

    def _coverage(self) -> dict[str, float]:
        calibration, goldens = (
            np.load(array_path(self.work, Component.DECODER, role, "z")) for role in ("calibration", "input")
        )
        inside = (goldens >= calibration.min()) & (goldens <= calibration.max())
        return {
            kind.name: float(inside[kind.start : kind.start + kind.count].mean())
            for kind in self.prepared[Component.DECODER].golden_strata
        }

    def _write(self, relative: str, content: bytes) -> FileRecord:
        files.write_bytes(self.bundle / relative, content)
        return FileRecord.of(relative, content)

    def _remove_work(self) -> None:
        shutil.rmtree(self.work)
