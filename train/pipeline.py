"""The training pipeline: data in, a run directory out; the only module of the train room that writes a run."""

from __future__ import annotations

import json
import math
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pocketvae.bundle.reference import REFERENCE_NAME, choose_reference
from pocketvae.bundle.run import RUN_NAME, RunRecord
from pocketvae.data.dataset import ImageSplits
from pocketvae.data.items import Splits
from pocketvae.data.training_values import TrainingValues
from pocketvae.documents import encode
from pocketvae.errors import DataError, SpecError, TrainingError
from pocketvae.fields import ChannelKind
from pocketvae.keras.io import save_model, start_tensorflow
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.likelihoods import places
from pocketvae.processes.guard import check_memory
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.spec import Component
from pocketvae.system import files, folders
from pocketvae.system.limits import check_threads
from pocketvae.train import pictures, plots
from pocketvae.train.checkpoints import MILESTONE, Checkpoints, check_configuration
from pocketvae.train.config import Binarization, TrainConfig
from pocketvae.train.data import binarize_once, identify
from pocketvae.train.distribution import Strategy, Workers
from pocketvae.train.evaluation import ElboEstimate, Evaluator
from pocketvae.train.latent_maps import latent_size
from pocketvae.train.loop import LoopState, NotFiniteError, fit, is_stopped_early
from pocketvae.train.memory import least_bytes
from pocketvae.train.mixed_precision import check_bfloat16
from pocketvae.train.model import VaeModel
from pocketvae.train.networks import smallest_side
from pocketvae.train.refitting import refitted
from pocketvae.train.sources import load_data
from pocketvae.train.summaries import Summaries
from pocketvae.train.trainer import Trainer
from pocketvae.train.warnings import warnings_of
from pocketvae.vae_spec import DataKind, Likelihood, PriorKind, VaeSpec, class_label, vector_latent
from pocketvae.versions import installed_versions

_REFERENCE_STREAM = 2
# Shares of the training values outside of what pictures show and limits are parts of: outliers stretch a range.
_OUTSIDE = 0.001
# From how many values a range is taken at most, of evenly spaced items.
_RANGE_VALUES = 1 << 24
# Where the search for the degrees of freedom of Student's t begins.
_FIRST_DEGREES = 4.0


def train(
    *,
    source: str,
    out: Path,
    config: TrainConfig,
    preset: str,
    force: bool = False,
    resume: bool = False,
    strategy: Strategy = Strategy.NONE,
    skip_corrupt: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> RunRecord:
    """Trains a VAE and writes its run directory, completely or not at all.

    An interrupted training run leaves `OUT.unfinished` once it has a checkpoint; `resume` continues it, and the result
    is the same, bit for bit, as that of an uninterrupted one on the same machine.

    Args:
        source: `mnist`, or the path of images, signals or a table, see `load_data`.
        out: The run directory to create.
        config: The model to build and how to train it.
        preset: Name of the preset that `config` is based on, for the record.
        force: Replace `out` if it exists.
        resume: Resume an interrupted training run if there is one.
        strategy: Which devices or processes train.
        skip_corrupt: Skip images of a folder that cannot be read.
        progress: Called at every tenth step.

    Raises:
        DataError: the data cannot be used, or are not those that an interrupted training run was started with.
        SpecError: configuration and data, or the configuration of an interrupted training run, contradict each other.
        OutputExistsError: `out` exists and `force` is off.
        TrainingError: the loss becomes non-finite before the first checkpoint, or a checkpoint is damaged.
        TargetError: TensorFlow is not installed.
    """
    files.check_output(out, force=force)
    folders.check_unfinished(out, force=force, resume=resume, milestone=MILESTONE)
    if resume:
        check_configuration(folders.unfinished_directory(out), config)
    plots.check_plots()
    if config.threads:
        check_threads(config.threads)
    check_bfloat16(config.bfloat16)
    data = _prepare(load_data(source, config, preset, skip_corrupt=skip_corrupt, progress=progress), config)
    check_memory(
        least_bytes(config, data.train.items.shape[1:], len(data.train)),
        "training",
        "lower batch_size, importance_samples, channels or hidden_units",
    )
    progress(Progress(stage="loading TensorFlow", done=0, total=1))
    start_tensorflow(onednn=config.onednn, threads=config.threads, remapped=config.is_remapped)
    workers = Workers.start(strategy, config.batch_size)
    with workers.scope():
        session = _Session.begin(config, data, workers)
    if not workers.is_chief:
        return _follow(session, out, preset, resume=resume)
    with folders.resumable_directory(out, force=force, resume=resume, milestone=MILESTONE) as folder:
        return _lead(session, folder, preset, progress)


@dataclass(frozen=True, kw_only=True)
class _Session:
    """The objects that one training run uses."""

    config: TrainConfig
    data: Splits
    model: VaeModel
    trainer: Trainer
    evaluator: Evaluator
    trained_prior_kl_nats: float | None = None

    @classmethod
    def begin(cls, config: TrainConfig, data: ImageSplits | TrainingValues, workers: Workers) -> _Session:
        model = VaeModel.build(config, _spec(config, data))
        if config.prior is PriorKind.VAMP:
            chosen = data.train.some(config.components, np.random.default_rng([config.seed, 3]))
            model.add_pseudo_inputs(np.asarray(chosen.items, np.float32) / 255)
        return cls(
            config=config,
            data=data,
            model=model,
            trainer=Trainer(config, model, workers),
            evaluator=_evaluator(config, model),
        )

    def with_final_prior(self, progress: ProgressCallback) -> _Session:
        """Returns the session with the prior that is written: the trained one, or one fitted to its posteriors."""
        if not self.config.refit_components:
            return self
        progress(Progress(stage="fitting the prior", done=0, total=1))
        kl = self.evaluator.elbo(self.data.test).kl_nats
        model = refitted(self.model, self.data.train, self.config)
        # A new evaluator: the other was compiled with the prior before.
        return replace(self, model=model, evaluator=_evaluator(self.config, model), trained_prior_kl_nats=kl)


def _evaluator(config: TrainConfig, model: VaeModel) -> Evaluator:
    return Evaluator(
        model,
        seed=config.seed,
        jit_compile=config.jit_compile,
        fits_degrees=config.likelihood is Likelihood.STUDENT_T and not config.degrees_of_freedom,
    )


def _lead(session: _Session, folder: Path, preset: str, progress: ProgressCallback) -> RunRecord:
    """Trains and fills the run directory."""
    checkpoints = Checkpoints(folder, session.trainer, identify(session.data))
    state = checkpoints.restore()
    summaries = Summaries(folder)
    ended = "all epochs were trained"
    try:
        for reached in fit(session.trainer, session.evaluator, session.data, state, progress):
            state = reached
            checkpoints.save(state)
            if not state.losses:
                summaries.add(state.epochs[-1])
                _write_metrics(state, folder)
    except NotFiniteError as e:
        if state.best is None:
            raise TrainingError(
                f"{e}: lower the rate with --set learning_rate=..., or choose another --set seed=..."
            ) from e
        ended = f"{e}; the weights are those of epoch {state.best.epoch}"
    if is_stopped_early(session.config, state):
        bound = "bound" if session.config.importance_samples > 1 else "ELBO"
        ended = f"the validation {bound} had not improved for {session.config.patience_epochs} epochs"
    # Again: a run that was killed between its last checkpoint and its last line goes on here.
    _write_metrics(state, folder)
    checkpoints.restore_best()
    session = session.with_final_prior(progress)
    progress(Progress(stage="testing", done=0, total=1))
    record = _record(session, state, preset, ended)
    _write_models(session.model, folder)
    _write_pictures(session, state, folder)
    reference = choose_reference(session.data, np.random.default_rng([session.config.seed, _REFERENCE_STREAM]))
    files.write_bytes(folder / REFERENCE_NAME, reference.archive())
    files.write_text(folder / RUN_NAME, encode(record))
    return record


def _follow(session: _Session, out: Path, preset: str, *, resume: bool) -> RunRecord:
    """Trains along with the chief, the only process that writes; a resumed run reads the chief's checkpoint."""
    state = LoopState()
    folder = folders.unfinished_directory(out.absolute())
    if resume and (folder / MILESTONE).exists():
        state = Checkpoints(folder, session.trainer, identify(session.data)).restore()
    ended = "all epochs were trained"
    try:
        for reached in fit(session.trainer, session.evaluator, session.data, state, ignore_progress):
            state = reached
    except NotFiniteError as e:
        # All workers see the same loss, and the chief goes on with its best epoch.
        if state.best is None:
            raise
        ended = str(e)
    session = session.with_final_prior(ignore_progress)
    return _record(session, state, preset, ended)


def _prepare(loaded: ImageSplits | TrainingValues, config: TrainConfig) -> ImageSplits | TrainingValues:
    smallest = smallest_side(config)
    if isinstance(loaded, ImageSplits):
        height, width, _ = loaded.image_shape
        if min(height, width) < smallest:
            raise DataError(f"images must be at least {smallest}x{smallest} for these channels, got {width}x{height}")
    elif config.data is DataKind.SEQUENCE and loaded.train.values.shape[1] < smallest:
        unit, steps = "frames" if config.mel_bands else "time steps", loaded.train.values.shape[1]
        raise DataError(f"windows must have at least {smallest} {unit} for these channels, got {steps}")
    if config.conditional:
        _check_classes(loaded)
    if config.components > len(loaded.train) and config.prior is PriorKind.VAMP:
        raise SpecError(f"components must be at most the {len(loaded.train)} training images, got {config.components}")
    if config.binarization is Binarization.STATIC and isinstance(loaded, ImageSplits):
        return binarize_once(loaded, config.seed)
    return loaded


def _check_classes(loaded: Splits) -> None:
    plural = "images" if isinstance(loaded, ImageSplits) else "items"
    if loaded.train.labels is None:
        way = "sort recordings into one folder per class, or give an .npz with labels"
        if isinstance(loaded, ImageSplits):
            way = "sort images into one subfolder per class, or add a label file"
        raise DataError(f"conditional = true needs labels: {way}")
    for part, items in (("validation", loaded.validation), ("test", loaded.test)):
        if items.labels is None:
            raise DataError(f"conditional = true needs labels, but the {part} {plural} do not have any")
    if loaded.label_count() > len(loaded.train):
        # One-hot vectors and weights grow with the largest label, which may be an identifier rather than a class.
        raise DataError(
            f"labels must be classes numbered from 0, got {loaded.label_count() - 1} "
            f"with {len(loaded.train)} training {plural}: renumber the classes"
        )


def _spec(config: TrainConfig, data: ImageSplits | TrainingValues) -> VaeSpec:
    vae = VaeSpec(
        data=config.data,
        data_shape=data.train.items.shape[1:],
        latents=vector_latent(latent_size(config, data.train.items.shape[1:])),
        likelihood=config.likelihood if isinstance(data, ImageSplits) else Likelihood.UNKNOWN,
        prior=config.prior,
        conditions=class_label(data.label_count() if config.conditional else 0),
    )
    if isinstance(data, ImageSplits):
        return vae
    some = data.train.spaced(max(1, _RANGE_VALUES // math.prod(vae.data_shape))).whole()
    low, high = np.quantile(some, (_OUTSIDE, 1 - _OUTSIDE)).tolist()
    fits = config.likelihood is Likelihood.STUDENT_T
    return replace(
        vae,
        likelihood=config.likelihood,
        channels=data.channels,
        degrees_of_freedom=config.degrees_of_freedom or _FIRST_DEGREES if fits else None,
        rate_hz=data.rate_hz,
        log_mel=data.log_mel,
        data_range=(low, max(high, low + 1e-3)),
        range_is_strict=False,
    )


def _record(session: _Session, state: LoopState, preset: str, ended: str) -> RunRecord:
    test = session.evaluator.elbo(session.data.test)
    model, data = session.model, session.data
    best, plural = state.best, kind_of(model.spec.data).plural
    return RunRecord(
        vae=_final_spec(model),
        data=data.name,
        preset=preset,
        seed=session.config.seed,
        config=session.config.as_json(),
        metrics={
            "active_units": test.active_units,
            "best_epoch": best.epoch if best else 0,
            "decoder_parameters": model.decoder.count_params(),
            "encoder_parameters": model.encoder.count_params(),
            "prior_parameters": model.prior.count_params() if model.prior is not None else 0,
            f"test_{plural}": len(data.test),
            "test_kl_nats": test.kl_nats,
            "test_negative_elbo_nats": test.negative_elbo_nats,
            "test_negative_elbo_standard_error_nats": test.standard_error_nats,
            "test_reconstruction_nats": test.reconstruction_nats,
            f"training_{plural}": len(data.train),
            "training_s": state.elapsed_s,
            "validation_negative_elbo_nats": best.validation_negative_elbo_nats if best else float("inf"),
            **_further_metrics(session, test),
        },
        versions=installed_versions(),
        git_commit=_git_commit(),
        ended=ended,
        warnings=(*warnings_of(session.config, state, test, data, model.spec.latent_dim), *data.warnings),
    )


def _further_metrics(session: _Session, test: ElboEstimate) -> dict[str, float]:
    found = {
        "test_psnr_db": test.psnr_db,
        "test_explained_variance": test.explained_variance,
        "trained_prior_test_kl_nats": session.trained_prior_kl_nats,
    }
    return {name: value for name, value in found.items() if value is not None}


def _final_spec(model: VaeModel) -> VaeSpec:
    """Returns the interface with the noise that was fitted."""
    spec = model.spec
    if spec.data is DataKind.IMAGE:
        is_gaussian = spec.likelihood is Likelihood.GAUSSIAN
        return replace(spec, noise_scale=float(np.sqrt(model.variance.numpy()))) if is_gaussian else spec
    scales = np.sqrt(model.variance.numpy().astype(np.float64)).tolist()
    channels = tuple(
        replace(channel, noise_scale=scales[part.start]) if channel.kind is ChannelKind.REAL else channel
        for channel, part in places(spec.channels)
    )
    degrees = model.degrees_of_freedom
    return replace(spec, channels=channels, degrees_of_freedom=degrees and float(degrees.numpy()))


def _write_metrics(state: LoopState, folder: Path) -> None:
    lines = [json.dumps(epoch.figures(), sort_keys=True) for epoch in state.epochs]
    files.write_text(folder / "metrics.jsonl", "\n".join(lines) + "\n")


def _write_models(model: VaeModel, folder: Path) -> None:
    model.freeze_components()
    save_model(model.encoder, folder / f"{Component.ENCODER}.keras")
    save_model(model.decoder, folder / f"{Component.DECODER}.keras")
    if model.prior is not None:
        save_model(model.prior, folder / f"{Component.PRIOR}.keras")


def _write_pictures(session: _Session, state: LoopState, folder: Path) -> None:
    samples, reconstructions = pictures.of_run(session.model, session.data.test, session.config.seed)
    files.write_bytes(folder / "samples.png", samples)
    files.write_bytes(folder / "reconstructions.png", reconstructions)
    files.write_bytes(folder / "curves.png", plots.curves_png(state.epochs, kind_of(session.config.data).noun))


def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
