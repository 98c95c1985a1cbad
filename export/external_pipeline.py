"""Export of user-supplied models: they are inspected first, then exported like a run's."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from pocketvae.bundle.bundle import check_bundle_output
from pocketvae.bundle.reference import REFERENCE_NAME, choose_reference
from pocketvae.data.windows import WHOLE, Windowing
from pocketvae.errors import (
    ChannelError,
    ExportError,
    InternalError,
    PocketVaeError,
    SpecError,
    TargetError,
    TimeLimitError,
)
from pocketvae.export.bundle_writer import NO_CHIP_WORK, ChipWork, ExportResult
from pocketvae.export.config import ExportConfig
from pocketvae.export.external.data import Splits, check_source, load_data, with_range_of
from pocketvae.export.external.messages import (
    INSPECT,
    PREPARE,
    ExternalModels,
    Inspection,
    Preparation,
    PreparationRequest,
)
from pocketvae.export.external.needs import needs_preparation
from pocketvae.export.external.prior import (
    FIT,
    FittedPrior,
    FittingRequest,
    PriorFit,
    check_fit,
    check_installed,
    write_items,
)
from pocketvae.export.pipeline import check_interface, export_subject
from pocketvae.export.scorer_data import check_scores_asked
from pocketvae.export.subject import Subject
from pocketvae.kinds.registry import kind_of
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Client
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.spec import Component
from pocketvae.system import files
from pocketvae.system.temporary import temporary_directory
from pocketvae.vae_spec import PosteriorKind, VaeSpec

PREPARATION_COMMAND: Sequence[str] = (sys.executable, "-Pm", "pocketvae.export.external.preparation")
FITTING_COMMAND: Sequence[str] = (sys.executable, "-Pm", "pocketvae.export.external.prior_fitting")
INSPECTION_COMMAND: Sequence[str] = (sys.executable, "-Pm", "pocketvae.export.external.inspection")
_DATA_STREAM = 3
_Result = TypeVar("_Result")


def export_external_models(
    models: ExternalModels,
    out: Path,
    config: ExportConfig,
    *,
    data: str | None = None,
    windowing: Windowing = WHOLE,
    prior: PriorFit | None = None,
    force: bool = False,
    resume: bool = True,
    progress: ProgressCallback = ignore_progress,
    tell: Callable[[str], None] = lambda _: None,
    chip_work: ChipWork = NO_CHIP_WORK,
) -> ExportResult:
    """Exports models that pocketvae did not train to a bundle, completely or not at all.

    Args:
        models: The files and what the user states about them.
        out: The bundle to create.
        config: Which artifacts to make.
        data: Source for calibration and testing, images as for training, or an array file or a table of other data;
            without one, latents of the prior and what they decode to are used.
        windowing: How recordings of sequences are read and cut.
        prior: What to fit to the latents of the data, in place of N(0, I).
        force: Replace `out` if it exists.
        resume: Reuse what an unfinished export has made; see `pocketvae.export.pipeline.export_run`.
        progress: Called for every artifact.
        tell: Called with what was found in the files and changed before anything is converted, one line a file.
        chip_work: As for `export_run`.

    Raises:
        DataError: the data cannot be read or are not of the decoder's shape.
        SpecError: the model of a requested artifact is not given, or there are data but no encoder.
        ExportError: a model cannot be loaded, understood or exported; the message says why.
        OutputExistsError: `out` exists and `force` is off.
        TargetError: a package is missing.
    """
    check_bundle_output(out, force=force)
    config = config.limited_for(filter(None, (models.decoder, models.encoder)))
    given = {*models.paths, *((Component.PRIOR,) if prior else ())}
    missing = [item for item in config.components if not item.is_composed and item not in given]
    if missing:
        raise SpecError(f"the requested components need models that were not given: {', '.join(missing)}")
    if data is not None and models.encoder is None:
        raise SpecError("--data calibrates with posteriors, which needs --encoder")
    if prior is not None and data is None:
        raise SpecError("--fit-prior fits a prior to the latents of data: name them with --data SRC")
    if prior is not None:
        check_installed(prior)
    check_scores_asked(config, has_data=data is not None)
    if data is not None:
        check_source(data)
    elif windowing != WHOLE:
        raise SpecError("--stride and --channels are for the recordings of --data SRC: leave them out")
    progress(Progress(stage="inspecting", done=0, total=1, detail="the models"))
    name = _name(models)
    with temporary_directory() as folder:
        prepared = _prepared(models, config, folder)
        own, models = models, prepared.models
        for line in prepared.found:
            tell(line)
        with _named_as_given(own, models):
            inspection = _inspect(models, config)
        progress(Progress(stage="inspecting", done=1, total=1, detail="the models"))
        for line in inspection.found:
            tell(line)
        vae, reference, count, fitted = inspection.vae, None, 0, _NO_PRIOR
        check_interface(config, vae)
        if data is not None:
            splits = load_data(data, vae, windowing, progress)
            vae, reference = with_range_of(splits, vae), folder / REFERENCE_NAME
            count = _write_reference(splits, config.seed, reference)
            if prior is not None:
                progress(Progress(stage="fitting", done=0, total=1, detail="the prior"))
                with _named_as_given(own, models):
                    fitted = _fit_prior(prior, vae, models, inspection, splits, folder, config)
                vae = replace(vae, prior=prior.kind, prior_takes_label=fitted.takes_label)
                for line in fitted.facts.values():
                    tell(line)
        subject = Subject(
            name=name,
            vae=vae,
            models={**models.paths, **fitted.paths},
            reference=reference,
            calibration_images=count,
            provenance={
                **inspection.facts,
                **prepared.facts,
                **fitted.facts,
                "calibrated and tested with": _samples(models, data, vae),
            },
            forms=inspection.forms,
            code=models.code,
        )
        with _named_as_given(own, models):
            result = export_subject(
                subject, out, config, force=force, resume=resume, progress=progress, chip_work=chip_work
            )
    return replace(result, doubts=(*prepared.doubts, *inspection.doubts, *fitted.doubts, *result.doubts))


@contextlib.contextmanager
def _named_as_given(given: ExternalModels, prepared: ExternalModels) -> Iterator[None]:
    """Names the user's files in errors: prepared ones are temporary and gone when the message is read."""
    try:
        yield
    except PocketVaeError as e:
        text = str(e)
        for component, path in prepared.paths.items():
            text = text.replace(str(path), str(given.paths[component]))
        e.args = (text,)
        raise


def _name(models: ExternalModels) -> str:
    return models.decoder.absolute().stem or "model"


def _samples(models: ExternalModels, data: str | None, vae: VaeSpec) -> str:
    plural, drawn = kind_of(vae.data).plural, "N(0, I) and of its tails"
    if vae.codes:
        drawn = "codes, each equally likely" if vae.is_discrete else f"{drawn}, with codes that are equally likely"
    if data is not None:
        latents = "latents of the data" if vae.posterior is PosteriorKind.NONE else "latents of posteriors"
        return f"{latents}, of {drawn}; {plural} of {Path(data).name}"
    latents = f"latents of {drawn}"
    return f"{latents}; the encoder with the decoder's {plural} of such latents" if models.encoder else latents


def _prepared(models: ExternalModels, config: ExportConfig, folder: Path) -> Preparation:
    """Returns models that are one part each and need no custom code where none is exported."""
    if not needs_preparation(models):
        return Preparation(models=models, facts={}, found=(), doubts=())
    request = PreparationRequest(models=_absolute(models), folder=str(folder))
    return _ask(PREPARATION_COMMAND, PREPARE, request, Preparation, config)


def _inspect(models: ExternalModels, config: ExportConfig) -> Inspection:
    return _ask(INSPECTION_COMMAND, INSPECT, _absolute(models), Inspection, config)


def _absolute(models: ExternalModels) -> ExternalModels:
    return replace(models, decoder=models.decoder.absolute(), encoder=models.encoder and models.encoder.absolute())


def _ask(
    command: Sequence[str],
    method: str,
    params: object,
    result: type[_Result],
    config: ExportConfig,
    failure: str = "the models cannot be inspected",
) -> _Result:
    with LineProcess(command, memory_limit_bytes=config.memory_alone_bytes) as process:
        try:
            return Client(process).call(method, params, result, config.limit_s)
        except TargetError:
            raise
        except TimeLimitError as e:
            raise ExportError(f"{failure}: {e}: --time-limit SECONDS gives it more") from e
        except (ChannelError, InternalError) as e:
            raise ExportError(f"{failure}: {e}") from e
        except PocketVaeError as e:
            raise ExportError(str(e)) from e


@dataclass(frozen=True, kw_only=True)
class _Prior:
    """The model of a prior, whether it takes the label, facts for the manifest, and what to warn of."""

    paths: dict[Component, Path] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    takes_label: bool = False


_NO_PRIOR = _Prior()


def _fit_prior(
    prior: PriorFit,
    vae: VaeSpec,
    models: ExternalModels,
    inspection: Inspection,
    splits: Splits,
    folder: Path,
    config: ExportConfig,
) -> _Prior:
    check_fit(prior, vae, splits)
    if models.encoder is None:
        raise InternalError("data are only taken with an encoder")
    path, data = folder / "prior.keras", folder / "items.npz"
    write_items(splits, data, config.seed, vae.latent_dim)
    request = FittingRequest(
        fit=prior,
        vae=vae,
        encoder=str(models.encoder.absolute()),
        form=inspection.forms[Component.ENCODER],
        code=models.code,
        data=str(data),
        seed=config.seed,
        out=str(path),
    )
    found = _ask(FITTING_COMMAND, FIT, request, FittedPrior, config, "the prior cannot be fitted")
    labels = ", of all labels together" if vae.conditions and not found.takes_label else ""
    text = f"{found.description}, fitted to the latents of {found.train_count} {kind_of(vae.data).plural}{labels}"
    facts = {"prior": text, "prior's gain": found.gain}
    if found.by_label:
        facts["prior's gain by label"] = found.gain_by_label
    doubts = (found.doubt,) if found.doubt else ()
    return _Prior(paths={Component.PRIOR: path}, facts=facts, doubts=doubts, takes_label=found.takes_label)


def _write_reference(splits: Splits, seed: int, path: Path) -> int:
    """Writes the data for calibration and for goldens, and returns the number of items for calibration."""
    chosen = choose_reference(splits, np.random.default_rng([seed, _DATA_STREAM]))
    files.write_bytes(path, chosen.archive())
    return len(chosen.calibration)
