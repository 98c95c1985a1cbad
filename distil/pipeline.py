"""The distillation pipeline: a run or bundle in, a run with a smaller and faster decoder out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pocketvae.bundle.bundle import Bundle
from pocketvae.distil import outputs
from pocketvae.distil.checkpoints import FOLDER_NAME, MILESTONE, Checkpoints, State
from pocketvae.distil.config import DistilConfig
from pocketvae.distil.conversion import convert
from pocketvae.distil.evidence import check_budgets, gather
from pocketvae.distil.examples import load_examples
from pocketvae.distil.meters import Cost, Meter, meter_for
from pocketvae.distil.networks import build_student, with_biases
from pocketvae.distil.record import Candidate, Distilled
from pocketvae.distil.search import Search
from pocketvae.distil.source import Source, integer_decoder, open_source, teacher_bundle
from pocketvae.distil.students import Student, families
from pocketvae.distil.teacher import Teacher
from pocketvae.distil.training import Learner, Material, choose, train
from pocketvae.distil.verification import Judge, StudentFile
from pocketvae.keras.io import start_tensorflow
from pocketvae.portability.vela import require_vela
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.spec import Component
from pocketvae.system import files, folders
from pocketvae.versions import installed_versions

# An export locks the folder that it writes to, and the one around this is locked already.
_WORK_FOLDER, _TEACHER_FOLDER = "work", "teacher"
_CHECKPOINT_STEPS = 500


def distil(
    source: Path,
    out: Path,
    config: DistilConfig,
    *,
    data: str | None = None,
    skip_corrupt: bool = False,
    force: bool = False,
    resume: bool = False,
    progress: ProgressCallback = ignore_progress,
    tell: Callable[[str], None] = lambda _: None,
) -> Distilled:
    """Finds and trains a student of a decoder, and writes it as a run, completely or not at all.

    The run is written even if a target or a budget was missed; `Distilled.failures` says so. An interrupted
    distillation leaves `OUT.unfinished`; resumed, it ends with the same weights, bit for bit.

    Args:
        source: A run, or a bundle with a float32 decoder, also of a user-supplied model.
        out: The run directory to create; of a user-supplied model the folder of its models.
        config: What to reach, and how.
        data: Source of real items to learn from too; None to learn from what the teacher makes of latents alone.
        skip_corrupt: Skip items that cannot be read, as the training of a run may have done.
        force: Replace `out` if it exists.
        resume: Go on with an interrupted distillation if there is one.
        progress: Called for every step of long work.
        tell: Called with what was found, one line each.

    Raises:
        ManifestError: the run or bundle is damaged, or has no float32 decoder.
        SpecError: the decoder cannot have a student, no student meets the targets, or a budget cannot be measured.
        DataError: an interrupted distillation had another teacher or other data, or the data do not fit the model.
        TrainingError: a loss or the teacher's data are not finite.
        OutputExistsError: `out` exists and `force` is off.
        TargetError: TensorFlow, a runtime or the compiler for a chip is not installed.
    """
    files.check_output(out, force=force)
    folders.check_unfinished(out, force=force, resume=resume, milestone=MILESTONE)
    opened = open_source(source)
    check_budgets(opened, config)
    if config.targets.chip:
        require_vela()
        integer_decoder(opened)
    examples = load_examples(opened, data, progress, skip_corrupt=skip_corrupt) if data is not None else None
    sources = opened.decoder_sha256(), examples.sha256 if examples else ""
    if resume:
        # Before the folder is entered, on whose errors advice to resume is printed.
        Checkpoints(folders.unfinished_directory(out.absolute()), config, *sources).read()
    with folders.resumable_directory(out, force=force, resume=resume, milestone=MILESTONE) as folder:
        checkpoints = Checkpoints(folder, config, *sources)
        state = checkpoints.read()
        bundle = teacher_bundle(opened, folder / _WORK_FOLDER / _TEACHER_FOLDER, progress)
        progress(Progress(stage="loading TensorFlow", done=0, total=1))
        start_tensorflow(onednn=False, threads=0)
        with (
            _teacher(opened, bundle) as teacher,
            meter_for(opened, teacher, config.targets.accelerator, config.seed) as meter,
        ):
            material = Material(teacher=teacher, examples=examples)
            session = _Session(opened, material, config, checkpoints, meter, progress)
            record = session.run(folder, out, state or session.search(tell))
    # Only now: what is refused the name of the output goes on from them.
    for name in (FOLDER_NAME, _WORK_FOLDER):
        shutil.rmtree(out / name, ignore_errors=True)
    return record


def _teacher(source: Source, bundle: Bundle) -> Teacher:
    return Teacher(bundle, None if source.is_user_supplied else source.model_path(Component.DECODER))


@dataclass(frozen=True)
class _Session:
    """The objects of one distillation."""

    source: Source
    material: Material
    config: DistilConfig
    checkpoints: Checkpoints
    meter: Meter
    progress: ProgressCallback

    @property
    def teacher(self) -> Teacher:
        """Whose outputs are learned."""
        return self.material.teacher

    def search(self, tell: Callable[[str], None]) -> State:
        """Finds the candidates, and saves them."""
        search = Search(measure=self._measured, targets=self.config.targets, progress=self.progress)
        bounded = bool(self.source.config().get("quantization_friendly"))
        finalists = search.run(families(self.source.vae, bounded=bounded), self.config.finalists)
        tell(f"{len(search.tried)} untrained students were timed; {len(finalists)} are trained for a short time:")
        for candidate in finalists:
            tell(f"  {candidate.text()}, {candidate.multiply_adds:,} multiply-adds")
        return self.checkpoints.begin(tuple(search.tried), finalists)

    def run(self, folder: Path, out: Path, state: State) -> Distilled:
        """Trains the chosen student, judges it and writes everything."""
        learner, state = self._trained(state)
        content = convert(learner.model, self.source.vae, user_supplied=not self.source.makes_run)
        self.progress(Progress(stage="verifying", done=0, total=1))
        with StudentFile(content, self.source.vae) as file:
            judge = Judge(
                teacher=self.teacher,
                learner=learner,
                file=file,
                evidence=gather(self.source, self.teacher, self.config),
                config=self.config,
            )
            record = self._record(judge, state, self.meter.measure(learner.model, final=True), out)
            write = outputs.write_run if self.source.makes_run else outputs.write_models
            write(self.source, learner.model, record, folder)
            outputs.write_samples(self.teacher, file, self.config.seed, folder)
        return record

    def _trained(self, state: State) -> tuple[Learner, State]:
        started = time.perf_counter() - state.elapsed_s
        if state.weights:
            learner, reached = Learner(state.finalists[0].student, self.teacher, self.config), state.reached
            self.checkpoints.restore(state, learner)
        else:
            learner, reached, finalists = choose(state.finalists, self.material, self.config, self.progress)
            state = replace(state, finalists=finalists)
            state = self.checkpoints.save(state, learner, reached, time.perf_counter() - started)
        for now in train(learner, self.material, self.config, reached, self.progress):
            reached = now
            if reached.step % _CHECKPOINT_STEPS == 0 or reached.step == self.config.steps:
                state = self.checkpoints.save(state, learner, reached, time.perf_counter() - started)
        return learner, state

    def _measured(self, student: Student) -> Candidate:
        model = build_student(student, self.source.vae, self.config.seed)
        cost = self.meter.measure(with_biases(model, self.config.seed))
        return Candidate(student=student, excess=self._excess(cost), **asdict(cost))

    def _excess(self, cost: Cost) -> float:
        return self.config.targets.excess(
            latency_us=cost.latency_us, teacher_us=cost.teacher_us, size_bytes=cost.size_bytes
        )

    def _record(self, judge: Judge, state: State, cost: Cost, out: Path) -> Distilled:
        excess = self._excess(cost)
        closeness = judge.closeness()
        losses = judge.losses(closeness)
        missed = [loss.text() for loss in losses if not loss.passed]
        if excess > 1:
            missed.insert(0, f"the trained student takes {excess:.2f} times what {self.config.targets.text()} allows")
        return Distilled(
            teacher=str(self.source.path),
            teacher_name=self.source.name,
            teacher_sha256=state.teacher_sha256,
            teacher_file=self.teacher.artifact.name,
            teacher_bytes=self.meter.teacher_bytes,
            teacher_multiply_adds=self.meter.teacher_multiply_adds,
            data=self.material.examples.source if self.material.examples else "",
            config=self.config,
            tried=state.tried,
            finalists=state.finalists,
            student=state.finalists[0].student,
            latency_us=cost.latency_us,
            teacher_us=cost.teacher_us,
            size_bytes=cost.size_bytes,
            excess=excess,
            training_s=state.elapsed_s,
            final_loss=state.reached.loss if state.recent else None,
            closeness=closeness,
            losses=losses,
            failures=tuple(missed),
            command="" if self.source.makes_run else outputs.export_command(self.source, out),
            versions=installed_versions(),
        )
