"""Figures that are reported in addition to the checks, in the units that users think in.

They have no limits and do not affect the verdict. For a float file the limit on the largest deviation bounds them all;
for a quantized file the budget limits the error. `pocketvae.toml` turns any metric into a check.
"""

from __future__ import annotations

from collections.abc import Iterator

from pocketvae.benchmarks.parity.deviations import Deviations
from pocketvae.benchmarks.parity.results import Measurement
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.metrics import CODES_CHANGED, POSTERIOR, is_posterior, psnr_db
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import Component


def output_figures(artifact: str, target: str, component: Component, deviations: Deviations) -> list[Measurement]:
    """Returns the figures of an artifact that ran, except for outputs with values that are not finite.

    Args:
        artifact: File name.
        target: Where it ran.
        component: Which part of the VAE it is.
        deviations: Deviations of its outputs, by kind of samples.
    """
    finite = [name for name in deviations.original if deviations.is_finite(name)]
    found: list[tuple[str, str, str, float]] = []
    for name in finite:
        found += [(name, *rest) for rest in _of_output(name, deviations)]
    if component is Component.ENCODER and is_posterior(finite) and len(finite) == len(deviations.original):
        for metric in ("kl_mean", "kl_max", "active_units_changed"):
            found.append((POSTERIOR, "", metric, deviations.measure(_tolerance(POSTERIOR, metric))))
    return [
        Measurement(artifact=artifact, target=target, output=output, stratum=stratum, metric=metric, value=value)
        for output, stratum, metric, value in found
    ]


def _of_output(name: str, deviations: Deviations) -> Iterator[tuple[str, str, float]]:
    if any(latent.codes and latent.name == name for latent in deviations.vae.latents):
        yield "", CODES_CHANGED, deviations.measure(_tolerance(name, CODES_CHANGED))
        return
    deviation = deviations.of(name)
    metrics = deviation.metrics
    for metric in ("max_abs", "mean_abs", "rmse"):
        yield "", metric, metrics[metric]
    yield "", "cosine_loss", deviations.measure(_tolerance(name, "cosine_loss"))
    for stratum, values in deviation.by_stratum.items():
        for metric, value in values.items():
            yield stratum, metric, value
    vae = deviations.vae
    if name == vae.output:
        looks = kind_of(vae.data).similarity(deviations.artifact[name], deviations.original[name], vae)
        for metric, alike in looks.items():
            yield "", metric, float(alike.mean())
            yield "", f"{metric}_worst", float(alike.min())
        if metrics["rmse"] > 0:  # Equal data do not have a signal-to-noise ratio.
            yield "", "psnr_db", psnr_db(metrics["rmse"], vae.range_span)
    named = vae.output_of(name)
    if named is not None and named.is_picture:
        for metric in ("share_off_by_1", "share_off_by_4"):
            yield "", metric, metrics[metric]
    yield "", "p99_abs", metrics["p99_abs"]


def _tolerance(output: str, metric: str) -> Tolerance:
    return Tolerance(output=output, metric=metric, limit=0.0, source="")
