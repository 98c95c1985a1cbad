"""The export pipeline: a run directory in, a bundle out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pocketvae.bundle.bundle import check_bundle_output, check_holds_only_bundle
from pocketvae.bundle.reference import REFERENCE_NAME
from pocketvae.bundle.run import Run, open_run
from pocketvae.documents import encode_line
from pocketvae.errors import ExportError, MemoryLimitError, NoSpaceError, PocketVaeError, RuledOutError, SpecError
from pocketvae.export.budgets import LimitRules, few_goldens
from pocketvae.export.bundle_writer import NO_CHIP_WORK, BundleWriter, ChipWork, ExportResult, NotMade, Outcome
from pocketvae.export.config import ExportConfig
from pocketvae.export.convert.interfaces import check_images
from pocketvae.export.embed.embedding import Statement
from pocketvae.export.ingredients import Ingredients, ingredients_of_artifact, ingredients_of_preparation
from pocketvae.export.messages import Converted, ConvertJob, Prepared, WorkerSetup
from pocketvae.export.original.composed import with_parts
from pocketvae.export.precisions.registry import export_of
from pocketvae.export.preparation import other_way, prepare
from pocketvae.export.scorer_data import check_through, with_scores_of
from pocketvae.export.subject import Subject
from pocketvae.export.unfinished import Unfinished, unfinished_export
from pocketvae.export.wholeness import not_whole
from pocketvae.export.worker import SETUP_NAME
from pocketvae.export.worker_process import WorkerProcess
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.spec import ArtifactSpec, Component, Format
from pocketvae.system import files, folders
from pocketvae.system.temporary import temporary_directory
from pocketvae.vae_spec import VaeSpec


def export_run(
    run_path: Path,
    out: Path,
    config: ExportConfig,
    *,
    force: bool = False,
    resume: bool = True,
    progress: ProgressCallback = ignore_progress,
    chip_work: ChipWork = NO_CHIP_WORK,
) -> ExportResult:
    """Exports a run to a bundle, completely or not at all; an artifact that fails is recorded, the others are made.

    An export that ends before the bundle is there leaves `OUT.unfinished` with the artifacts that it made. The next one
    to the same `out` reuses those that it would make from the same model in the same way.

    Args:
        run_path: The run directory.
        out: The bundle to create.
        config: Which artifacts to make.
        force: Replace `out` if it exists.
        resume: Reuse what an unfinished export has made.
        progress: Called for every artifact.
        chip_work: What is done with the finished bundle for the chips of `config`.

    Raises:
        ManifestError: the run is damaged.
        ExportError: the models cannot be loaded.
        NothingMadeError: no artifact could be made.
        OutputExistsError: `out` exists and `force` is off, or holds files that export did not write.
    """
    check_bundle_output(out, force=force)
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
        config=record.config,
        provenance={"data": record.data, "preset": record.preset, "seed": str(record.seed)},
    )
    return export_subject(subject, out, config, force=force, resume=resume, progress=progress, chip_work=chip_work)


def export_subject(
    subject: Subject,
    out: Path,
    config: ExportConfig,
    *,
    force: bool,
    resume: bool,
    progress: ProgressCallback,
    chip_work: ChipWork = NO_CHIP_WORK,
) -> ExportResult:
    """Exports a subject that was checked; see `export_run`."""
    config = config.limited_for(subject.models.values())
    check_interface(config, subject.vae)
    with temporary_directory() as folder:
        subject = with_scores_of(subject, config, folder, progress)
        check_through(config, subject)
        return _export_checked(subject, out, config, force=force, resume=resume, progress=progress, chip_work=chip_work)


def check_interface(config: ExportConfig, vae: VaeSpec) -> None:
    """Checks that what is asked for can be made of models of this interface.

    Raises:
        SpecError: a recipe is for another one, or the values of black and white are unknown.
    """
    for recipe in config.recipes.values():
        recipe.check_model(vae)
    check_images(config.artifacts, vae)


def _export_checked(
    subject: Subject,
    out: Path,
    config: ExportConfig,
    *,
    force: bool,
    resume: bool,
    progress: ProgressCallback,
    chip_work: ChipWork,
) -> ExportResult:
    with unfinished_export(out, config, force=force, resume=resume) as unfinished:
        setup = _setup(subject, config)
        (unfinished.work / SETUP_NAME).write_text(encode_line(setup), "utf-8")
        conversions = _Conversions(
            subject=subject, config=config, setup=setup, unfinished=unfinished, progress=progress
        )
        prepared, outcomes = conversions.run()
        with folders.staged_directory(out, force=force, check_old=partial(check_holds_only_bundle, out)) as bundle:
            writer = BundleWriter(
                subject=subject, bundle=bundle, work=unfinished.work, config=config, prepared=prepared
            )
            result = writer.write(outcomes)
            result = writer.work_for_chips(result, chip_work)
    return replace(result, resumed=unfinished.summary(len(config.artifacts)))


def _setup(subject: Subject, config: ExportConfig) -> WorkerSetup:
    return WorkerSetup(
        vae=subject.vae,
        statement=_statement(subject, config),
        seed=config.seed,
        models={component: str(path.absolute()) for component, path in subject.models.items()},
        reference=str(subject.reference.absolute()) if subject.reference else "",
        calibration_seeds=config.calibration_seeds,
        forms=subject.forms,
        code=subject.code,
        rewrites=config.rewrites,
        tune=config.tune,
        chips=config.chips,
        recipes=dict(config.recipes),
        one_by_one=config.allow_batch_dependence,
        false_positive_rate=config.false_positive_rate,
    )


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
        if artifact.component not in run.record.vae.exports and not artifact.component.takes_data_through:
            raise SpecError(f"the run has no {artifact.component}: its prior is N(0, I), which does not need one")


@dataclass(kw_only=True)
class _Conversions:
    """Prepares all components, then makes all artifacts with one worker per format.

    Attributes:
        outcomes: What became of the artifacts, as far as they are done.
    """

    subject: Subject
    config: ExportConfig
    setup: WorkerSetup
    unfinished: Unfinished
    progress: ProgressCallback
    outcomes: dict[ArtifactSpec, Outcome] = field(default_factory=dict)
    _prepared: dict[Component, Prepared] = field(default_factory=dict)
    _ingredients: dict[ArtifactSpec, Ingredients] = field(default_factory=dict)
    _waiting: dict[Format, list[ArtifactSpec]] = field(default_factory=dict)
    _too_large: list[ArtifactSpec] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> tuple[dict[Component, Prepared], dict[ArtifactSpec, Outcome]]:
        """Returns what is known of the components, and what became of the artifacts."""
        config = self.config
        with self._workers() as workers:
            self._prepare(workers[config.formats[0]])
            self._convert_waiting(workers)
        if self._too_large and config.memory_alone_bytes > config.memory_bytes:
            self._convert_alone()
        return self._prepared, {spec: self._checked(spec, outcome) for spec, outcome in self.outcomes.items()}

    @contextmanager
    def _workers(self) -> Iterator[dict[Format, WorkerProcess]]:
        workers = {format: self._worker({}) for format in self.config.formats}
        try:
            yield workers
        except BaseException:
            for worker in workers.values():
                worker.close(kill=True)
            raise
        for worker in workers.values():
            worker.close()

    def _convert_waiting(self, workers: Mapping[Format, WorkerProcess]) -> None:
        with ThreadPoolExecutor(len(workers)) as pool:
            for future in [pool.submit(self._convert_format, *item) for item in workers.items()]:
                _result_or_kill(future, workers)

    def _convert_alone(self) -> None:
        """Repeats what needed more memory than half of it, with all of it: the workers of the others have ended."""
        waiting, self._too_large = self._too_large, []
        for artifact in waiting:
            del self.outcomes[artifact]
            self._waiting[artifact.format].append(artifact)
        self._report(len(self.outcomes) + 1, f"{self._now()}, alone: it needs more memory than beside another")
        for artifact in waiting:
            with self._worker({}, self.config.memory_alone_bytes) as worker:
                self._convert_one(artifact, worker)

    def _checked(self, spec: ArtifactSpec, outcome: Outcome) -> Outcome:
        """Returns an outcome, or why it is refused; what was made stays for an export that takes it."""
        if isinstance(outcome, NotMade):
            return replace(outcome, is_ruled_out=outcome.is_ruled_out and self.config.skip_ruled_out)
        if self.config.whole and spec.precision.is_calibrated:
            has_prior = self.subject.vae.prior.is_learned
            if reason := not_whole(outcome.record, self.config.tune, has_learned_prior=has_prior):
                return NotMade(reason=reason)
        if self.config.skip_ruled_out and outcome.error_ratio > 1 and not export_of(spec.precision).keeps_floats:
            reason = (
                f"no layer may stay in float, and its largest error is then {outcome.error_ratio:.1f} times its limit; "
                f"--precisions {spec.precision} makes it all the same"
            )
            return NotMade(reason=reason, is_ruled_out=True)
        return outcome

    def _worker(self, way: dict[str, str], memory_bytes: int | None = None) -> WorkerProcess:
        # A run's models are Keras 2: TensorFlow need not import Keras 3 beside it, which takes a sixth of its import.
        flavour = {} if self.subject.forms else {"TF_USE_LEGACY_KERAS": "1"}
        # Converters write temporary files, which a worker that is killed leaves behind: they go with the folder.
        temporary = {"TMPDIR": str(self.unfinished.temporary)}
        limit = memory_bytes or self.config.memory_bytes
        return WorkerProcess(self.unfinished.work, environment=way | flavour | temporary, memory_limit_bytes=limit)

    def _prepare(self, worker: WorkerProcess) -> None:
        """Prepares all components, or finds them prepared, and finds the artifacts that were made before."""
        config, unfinished = self.config, self.unfinished
        large = f", a large model: a step may take {config.limit_s / 60:.0f} minutes" if config.is_long else ""
        self._report(0, f"goldens of the original{large}")
        common = ingredients_of_preparation(self.setup)
        components = with_parts(config.components, self.subject.vae)
        self._prepared = unfinished.preparation(common, components)
        if not self._prepared:
            self._prepared = prepare(
                worker,
                self._worker(other_way()),
                components,
                config.limit_s,
                allow_batch_dependence=config.allow_batch_dependence,
            )
            unfinished.keep_preparation(common, self._prepared)
        hashes = unfinished.prepared_hashes()
        for spec in config.artifacts:
            own = ingredients_of_artifact(spec, config, self.setup, self._prepared[spec.component], hashes)
            self._ingredients[spec] = common | own
        self.outcomes.update(unfinished.artifacts(self._ingredients))
        for format in config.formats:
            self._waiting[format] = [
                spec for spec in config.artifacts if spec.format is format and spec not in self.outcomes
            ]
        if text := unfinished.summary(len(config.artifacts)):
            self.progress(Progress(stage="resuming", done=1, total=1, detail=text))
        self._report(len(self.outcomes) + 1, self._now())

    def _convert_format(self, format: Format, worker: WorkerProcess) -> None:
        for artifact in tuple(self._waiting[format]):
            self._convert_one(artifact, worker)

    def _convert_one(self, artifact: ArtifactSpec, worker: WorkerProcess) -> None:
        known = self._prepared[artifact.component]
        job = ConvertJob(
            artifact=artifact,
            rules=_rules(known, self.subject, self.config),
            batches=self.config.batches,
            golden_strata=known.golden_strata,
            time_limit_s=self.config.limit_s,
        )
        outcome, is_too_large = _convert(worker, job, self.config.limit_s)
        with self._lock:
            if isinstance(outcome, Converted):
                self.unfinished.keep(self._ingredients[artifact], outcome)
            if is_too_large:
                self._too_large.append(artifact)
            self.outcomes[artifact] = outcome
            self._waiting[artifact.format].remove(artifact)
            self._report(len(self.outcomes) + 1, self._now())

    def _now(self) -> str:
        """Returns what is being made: the first of each format that waits."""
        names = [waiting[0].filename for waiting in self._waiting.values() if waiting]
        return f"making {' and '.join(names)}" if names else "writing the bundle"

    def _report(self, done: int, detail: str) -> None:
        self.progress(Progress(stage="exporting", done=done, total=len(self.config.artifacts) + 1, detail=detail))


def _convert(worker: WorkerProcess, job: ConvertJob, time_limit_s: float) -> tuple[Outcome, bool]:
    """Returns an artifact that was made, or why there is none, and whether that is the limit of memory.

    Raises:
        ExportError: a disk is full, so that no other can be made either.
    """
    try:
        return worker.convert(job, time_limit_s), False
    except NoSpaceError as e:
        raise ExportError(f"{job.artifact.filename} cannot be written: {e}") from e
    except PocketVaeError as e:
        missing = NotMade(reason=str(e), is_ruled_out=isinstance(e, RuledOutError))
        return missing, isinstance(e.__cause__, MemoryLimitError)


def _rules(prepared: Prepared, subject: Subject, config: ExportConfig) -> LimitRules:
    return LimitRules(
        floor=prepared.floor,
        image_span=subject.vae.range_span,
        budget=config.budget,
        observed_values=prepared.observed_values,
        data=subject.vae.data,
        more=subject.vae.more_outputs,
        few_goldens=few_goldens(prepared.golden_strata),
    )


def _result_or_kill(future: Future[None], workers: Mapping[Format, WorkerProcess]) -> None:
    """Waits for a format's conversions; an interruption ends the workers so that the waiting threads return."""
    try:
        future.result()
    except BaseException:
        for worker in workers.values():
            worker.stop()
        raise
