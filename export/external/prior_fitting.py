"""Fits a prior to the latents of a user-supplied encoder.

Run as `python -m pocketvae.export.external.prior_fitting`: loading a model may crash, so it runs in a separate process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.data.array_files import open_npz
from pocketvae.errors import ExportError
from pocketvae.export.convert.graphs import apply_component
from pocketvae.export.external.aggregate import label_share
from pocketvae.export.external.flow import Flow, fit_labelled_flow
from pocketvae.export.external.labelled_mixture import LabelledMixture, fit_labelled_mixture
from pocketvae.export.external.labels import LabelledLatents
from pocketvae.export.external.mixture import Mixture
from pocketvae.export.external.prior import FIT, FittedPrior, FittingRequest, LabelGain, PriorFit, Quality
from pocketvae.export.original import samples
from pocketvae.keras.external import load_original
from pocketvae.keras.holes import make_reproducible
from pocketvae.keras.io import save_model
from pocketvae.numerics.discrepancy import median_distance, mmd_squared
from pocketvae.numerics.gaussian import log_normal
from pocketvae.processes.rpc import handler, serve
from pocketvae.spec import Component
from pocketvae.vae_spec import Likelihood

Doubles = npt.NDArray[np.float64]
_Prior: TypeAlias = Mixture | LabelledMixture | Flow

_BATCH = 64
# Of MMD, whose cost grows with their square.
_MOST_COMPARED, _FEWEST_COMPARED = 1000, 2
_VALIDATION_SHARE = 0.1


def fit_prior(request: FittingRequest) -> FittedPrior:
    """Encodes the data, fits a prior, writes it and measures what it gains on held-out latents.

    Raises:
        ExportError: the encoder cannot be loaded, or returns latents that are not finite.
        TargetError: TensorFlow or scikit-learn is not installed.
    """
    rng = np.random.default_rng([request.seed, 5])
    train, test = _latents(request, rng)
    cut = max(1, round(_VALIDATION_SHARE * len(train)))
    shuffled = train[rng.permutation(len(train))]
    fit: Callable[..., _Prior] = fit_labelled_flow if request.fit is PriorFit.FLOW else fit_labelled_mixture
    prior = fit(shuffled[cut:], shuffled[:cut], request.seed)
    save_model(prior.build(request.vae.latent_shape), Path(request.out))
    # An export that was interrupted fits the same prior again, and goes on only with the same file.
    make_reproducible(Path(request.out))
    share = label_share(train.latents, train.labels) if train.label_count else 0.0
    return replace(_measured(prior, len(train), test, rng), label_share=share)


def _measured(prior: _Prior, train_count: int, test: LabelledLatents, rng: np.random.Generator) -> FittedPrior:
    zeros = np.zeros((1, test.latents.shape[1]))
    compared = test.latents[:_MOST_COMPARED]
    bandwidth = max(median_distance(compared), 1e-6)
    noise, drawn = rng.standard_normal(compared.shape), prior.sample(len(compared), rng, test.labels[:_MOST_COMPARED])
    standard = log_normal(test.latents, zeros, zeros).astype(np.float64)
    fitted = prior.log_density(test.latents, test.labels)
    return FittedPrior(
        description=prior.description,
        train_count=train_count,
        test_count=len(test),
        bandwidth=bandwidth,
        standard=Quality(
            log_likelihood_nats=float(standard.mean()),
            mmd_squared=mmd_squared(compared, noise, bandwidth),
        ),
        fitted=Quality(
            log_likelihood_nats=float(fitted.mean()),
            mmd_squared=mmd_squared(compared, drawn, bandwidth),
        ),
        takes_label=prior.takes_label,
        by_label=_by_label(prior, test, standard, fitted, rng),
    )


def _by_label(
    prior: _Prior, test: LabelledLatents, standard: Doubles, fitted: Doubles, rng: np.random.Generator
) -> tuple[LabelGain, ...]:
    found = []
    for label in np.unique(test.labels).tolist() if test.label_count else ():
        chosen = test.labels == label
        latents = test.of(label)[:_MOST_COMPARED]
        noise = rng.standard_normal(latents.shape)
        drawn = prior.sample(len(latents), rng, np.full(len(latents), label, np.int32))
        before, after = (_mmd_squared(latents, others) for others in (noise, drawn))
        gain = LabelGain(
            label=label,
            count=int(chosen.sum()),
            standard=Quality(log_likelihood_nats=float(standard[chosen].mean()), mmd_squared=before),
            fitted=Quality(log_likelihood_nats=float(fitted[chosen].mean()), mmd_squared=after),
        )
        found.append(gain)
    return tuple(found)


def _mmd_squared(latents: Doubles, others: Doubles) -> float | None:
    """Returns MMD² with the latents' median distance as the bandwidth; None for less than two."""
    if len(latents) < _FEWEST_COMPARED:
        return None
    return mmd_squared(latents, others, max(median_distance(latents), 1e-6))


def _latents(request: FittingRequest, rng: np.random.Generator) -> tuple[LabelledLatents, LabelledLatents]:
    """Returns one latent of each item's posterior: to fit to, and those held out."""
    encoder = load_original(Path(request.encoder), request.form, request.code)
    with open_npz(Path(request.data)) as archive:
        parts = [(archive.read(name), archive.read(f"{name}_labels")) for name in ("train", "test")]
    train, test = (
        LabelledLatents(
            latents=_encoded(request, encoder, items, labels, rng),
            labels=labels.astype(np.int32),
            label_count=request.vae.label_count,
        )
        for items, labels in parts
    )
    return train, test


def _encoded(
    request: FittingRequest,
    encoder: Any,
    items: npt.NDArray[Any],
    labels: npt.NDArray[np.int32],
    rng: np.random.Generator,
) -> Doubles:
    # Grey values, as apps feed them: binarizing is for calibration.
    vae = replace(request.vae, likelihood=Likelihood.UNKNOWN)
    found = []
    for first in range(0, len(items), _BATCH):
        inputs = samples.encoder_inputs(items[first : first + _BATCH], vae, rng)
        taken = {item.name: labels[first : first + _BATCH] for item in vae.encoder_conditions if vae.has_one_label}
        inputs = samples.with_conditions(inputs, taken)
        outputs = apply_component(Component.ENCODER, encoder, request.vae, inputs.inputs)
        z = samples.encoded_latents({name: np.asarray(value) for name, value in outputs.items()}, vae, rng=rng)
        found.append(z.astype(np.float64))
    latents = np.concatenate(found)
    if not np.isfinite(latents).all():
        raise ExportError("a prior cannot be fitted: the encoder returns latents that are not finite for the data")
    return latents


def main() -> int:
    """Serves on the process's own pipes."""
    serve({FIT: handler(FittingRequest, fit_prior)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
