"""The data that a student is judged with beside its teacher: a run's reference items, or the goldens of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.run import Run
from pocketvae.distil.config import DistilConfig
from pocketvae.distil.source import Source
from pocketvae.distil.teacher import Latents, Teacher
from pocketvae.errors import ManifestError, SpecError
from pocketvae.export.original.samples import POSTERIOR_STRATUM, encoder_grey, from_observed, observed_items
from pocketvae.models.model_bundle import find_artifact
from pocketvae.numerics.likelihoods import Observed, has_elbo
from pocketvae.numerics.spectrogram import model_items
from pocketvae.spec import Component
from pocketvae.vae_spec import DataKind, VaeSpec

_STREAM = 3
# Strata of an encoder's goldens that hold data as they are.
_DATA_STRATA = ("grey", "data")
_OF_RUN, _OF_GOLDENS = "reference data of the run", "goldens of the bundle"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Real data with their latents.

    Attributes:
        observed: Items as the likelihood sees them; None where there are none, or where the likelihood is unknown.
        posterior: A latent of the posterior of each.
        data: Items in the range of the decoder `[N, *data_shape]`, whose reconstructions are compared; None for none.
        means: Their latents without noise.
        source: Where they come from, as text.
    """

    observed: Observed | None = None
    posterior: Latents | None = None
    data: npt.NDArray[np.float32] | None = None
    means: Latents | None = None
    source: str = ""


def check_budgets(source: Source, config: DistilConfig) -> None:
    """Checks that what the user gave a budget for can be measured.

    Raises:
        SpecError: the likelihood is unknown, or there are no data.
    """
    if config.budget_nats is not None and not has_elbo(source.vae):
        raise SpecError("--budget-nats needs a likelihood that is known: leave it out, or give --budget-db")
    if config.budget_db is not None and source.bundle is not None and not _has_data(source.bundle):
        raise SpecError(
            "--budget-db compares reconstructions of data, and the bundle has none: leave it out, or export with an "
            "encoder and data"
        )


def gather(source: Source, teacher: Teacher, config: DistilConfig) -> Evidence:
    """Returns the data of a run or bundle and their latents, as far as it has them."""
    rng = np.random.default_rng([config.seed, _STREAM])
    if source.run is not None:
        return _of_run(source.run, teacher, rng)
    return _of_bundle(source.bundle, teacher) if source.bundle is not None else Evidence()


def _of_run(run: Run, teacher: Teacher, rng: np.random.Generator) -> Evidence:
    vae, reference = teacher.vae, run.reference_images()
    items = np.concatenate([reference.golden, reference.held_out])
    labels = np.concatenate([reference.golden_labels, reference.held_out_labels])
    grey = encoder_grey(items, vae).reshape(-1, *vae.input_shape)
    x = observed_items(items, vae, rng)
    given = from_observed(x, vae).inputs["x"].reshape(-1, *vae.input_shape)
    return Evidence(
        observed=Observed.of(vae, model_items(x, vae)) if has_elbo(vae) else None,
        posterior=teacher.from_posterior(given, labels, rng),
        data=model_items(grey, vae),
        means=_means(teacher, grey, labels),
        source=_OF_RUN,
    )


def _of_bundle(bundle: Bundle, teacher: Teacher) -> Evidence:
    vae = bundle.manifest.vae
    goldens = bundle.goldens(Component.DECODER)
    observed, posterior = goldens.observed, None
    if observed is not None and has_elbo(vae):
        posterior = _latents(vae, goldens.inputs, slice(len(observed.x)))
    data = means = None
    if _has_data(bundle):
        given, labels = grey_goldens(bundle)
        data, means = model_items(given, vae), _means(teacher, given, labels)
    return Evidence(
        observed=observed if posterior else None, posterior=posterior, data=data, means=means, source=_OF_GOLDENS
    )


def grey_goldens(bundle: Bundle) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Returns the data among an encoder's goldens `[N, *input_shape]`, not binarized, and their labels `[N]`."""
    goldens, vae = bundle.goldens(Component.ENCODER), bundle.manifest.vae
    kept = [item for item in goldens.strata if item.name in _DATA_STRATA]
    places = np.concatenate([np.arange(item.start, item.start + item.count) for item in kept])
    x = np.asarray(goldens.inputs["x"][places], np.float32).reshape(-1, *vae.input_shape)
    name = vae.conditions[0].name if vae.label_count else ""
    labels = goldens.inputs[name][places] if name in goldens.inputs else np.zeros(len(x))
    return x, labels.astype(np.int32)


def _has_data(bundle: Bundle) -> bool:
    """Whether a bundle has an encoder in float32 and data that it was exported with."""
    manifest = bundle.manifest
    strata = {record.component: {item.name for item in record.strata} for record in manifest.goldens}
    if manifest.vae.label_count and not manifest.vae.encoder_conditions:
        # The encoder's goldens do not say which class an item is, and without it nothing is reconstructed.
        return False
    of_data = POSTERIOR_STRATUM in strata.get(Component.DECODER, set())
    kept = bool(set(_DATA_STRATA) & strata.get(Component.ENCODER, set()))
    try:
        find_artifact(manifest, Component.ENCODER, "float32", None)
    except ManifestError:
        return False
    return of_data and kept


def _means(teacher: Teacher, data: npt.NDArray[Any], labels: npt.NDArray[np.int32]) -> Latents:
    return Latents(z=teacher.encode(data, labels).z_mean.astype(np.float32), labels=labels)


def _latents(vae: VaeSpec, inputs: dict[str, npt.NDArray[Any]], part: slice) -> Latents:
    z = np.asarray(inputs[vae.latents[0].name][part], np.float32)
    labels = inputs[vae.conditions[0].name][part] if vae.label_count else np.zeros(len(z))
    return Latents(z=z, labels=labels.astype(np.int32))


def as_stored(data: npt.NDArray[np.float32], vae: VaeSpec) -> npt.NDArray[Any]:
    """Returns data as a run keeps them: images uint8, others as they are."""
    if vae.data is not DataKind.IMAGE:
        return data
    return np.round((data - vae.data_range[0]) / vae.range_span * 255).astype(np.uint8)
