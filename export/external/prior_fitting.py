"""Fits a prior to the latents of a user-supplied encoder.

Run as `python -m pocketvae.export.external.prior_fitting`: loading a model may crash, so it runs in a separate process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.array_files import open_npz
from pocketvae.errors import ExportError
from pocketvae.export.convert.graphs import apply_component
from pocketvae.export.external.aggregate import label_share
from pocketvae.export.external.flow import Flow, fit_flow
from pocketvae.export.external.mixture import Mixture, fit_mixture
from pocketvae.export.external.prior import FIT, FittedPrior, FittingRequest, PriorFit, Quality
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

_BATCH = 64
# Of MMD, whose cost grows with their square.
_MOST_COMPARED = 1000
_VALIDATION_SHARE = 0.1


def fit_prior(request: FittingRequest) -> FittedPrior:
    """Encodes the data, fits a prior, writes it and measures what it gains on held-out latents.

    Raises:
        ExportError: the encoder cannot be loaded, or returns latents that are not finite.
        TargetError: TensorFlow or scikit-learn is not installed.
    """
    rng = np.random.default_rng([request.seed, 5])
    train, labels, test = _latents(request, rng)
    cut = max(1, round(_VALIDATION_SHARE * len(train)))
    shuffled = train[rng.permutation(len(train))]
    fit: Callable[..., Mixture | Flow] = fit_flow if request.fit is PriorFit.FLOW else fit_mixture
    prior = fit(shuffled[cut:], shuffled[:cut], request.seed)
    save_model(prior.build(request.vae.latent_shape), Path(request.out))
    # An export that was interrupted fits the same prior again, and goes on only with the same file.
    make_reproducible(Path(request.out))
    share = label_share(train, labels) if request.vae.has_one_label else 0.0
    return replace(_measured(prior, len(train), test, rng), label_share=share)


def _measured(prior: Mixture | Flow, train_count: int, test: Doubles, rng: np.random.Generator) -> FittedPrior:
    zeros = np.zeros((1, test.shape[1]))
    compared = test[:_MOST_COMPARED]
    bandwidth = max(median_distance(compared), 1e-6)
    noise, drawn = rng.standard_normal(compared.shape), prior.sample(len(compared), rng)
    return FittedPrior(
        description=prior.description,
        train_count=train_count,
        test_count=len(test),
        bandwidth=bandwidth,
        standard=Quality(
            log_likelihood_nats=float(log_normal(test, zeros, zeros).mean()),
            mmd_squared=mmd_squared(compared, noise, bandwidth),
        ),
        fitted=Quality(
            log_likelihood_nats=float(prior.log_density(test).mean()),
            mmd_squared=mmd_squared(compared, drawn, bandwidth),
        ),
    )


def _latents(request: FittingRequest, rng: np.random.Generator) -> tuple[Doubles, npt.NDArray[np.int32], Doubles]:
    """Returns one latent of each item's posterior, `[N, D]`: to fit to, their labels, and those held out."""
    encoder = load_original(Path(request.encoder), request.form, request.code)
    with open_npz(Path(request.data)) as archive:
        parts = [(archive.read(name), archive.read(f"{name}_labels")) for name in ("train", "test")]
    train, test = (_encoded(request, encoder, items, labels, rng) for items, labels in parts)
    return train, parts[0][1], test


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
        if vae.has_one_label:
            inputs = samples.with_conditions(inputs, {vae.conditions[0].name: labels[first : first + _BATCH]})
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
