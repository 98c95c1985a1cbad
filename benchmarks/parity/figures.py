"""What is reported of an artifact beside its checks: figures in the units that users think in.

They have no limits and decide nothing. A float file is held to its largest deviation, which bounds them all; what a
quantized one may cost is its budget. `pocketvae.toml` turns any metric into a check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pocketvae.benchmarks.parity.results import Measurement
from pocketvae.bundle.manifest import Stratum
from pocketvae.numerics.metrics import POSTERIOR, absolute_difference, measure, psnr_db, quantile_99, root_mean_square
from pocketvae.numerics.ssim import ssim
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import Component, VaeSpec

_IMAGE = "image"


def output_figures(
    artifact: str,
    target: str,
    vae: VaeSpec,
    component: Component,
    expected: Mapping[str, FloatArray],
    outputs: Mapping[str, FloatArray],
    strata: Sequence[Stratum],
) -> list[Measurement]:
    """Returns the figures of an artifact that ran; none of an output that holds values that are not finite.

    Args:
        artifact: File name.
        target: Where it ran.
        vae: Gives the image's shape and range.
        component: Which part of the VAE it is.
        expected: Output name to the original's `[N, ...]`.
        outputs: Output name to the artifact's `[N, ...]`.
        strata: Kinds of samples, for the figures that are given of each.
    """
    finite = [name for name in expected if np.isfinite(outputs[name]).all()]
    found: list[tuple[str, str, str, float]] = []
    for name in finite:
        span = vae.range_span if name == _IMAGE else 1.0
        difference = absolute_difference(expected[name], outputs[name])
        found += [(name, "", metric, value) for metric, value in _deviations(difference)]
        found += [(name, "", "cosine_loss", measure(_tolerance(name, "cosine_loss"), expected, outputs))]
        found += [(name, *rest) for rest in _by_stratum(difference, strata)]
        if name == _IMAGE:
            found += [(name, "", metric, value) for metric, value in _looks(expected[name], outputs[name], vae)]
            found += [(name, "", metric, value) for metric, value in _steps(difference, span)]
        # The last one, since it reorders the differences.
        found.append((name, "", "p99_abs", quantile_99(difference)))
    if component is Component.ENCODER and len(finite) == len(expected):
        for metric in ("kl_mean", "kl_max", "active_units_changed"):
            found.append((POSTERIOR, "", metric, measure(_tolerance(POSTERIOR, metric), expected, outputs)))
    return [
        Measurement(artifact=artifact, target=target, output=output, stratum=stratum, metric=metric, value=value)
        for output, stratum, metric, value in found
    ]


def _deviations(difference: FloatArray) -> Iterator[tuple[str, float]]:
    yield "max_abs", float(difference.max())
    yield "mean_abs", float(difference.mean(dtype=np.float64))
    yield "rmse", root_mean_square(difference)


def _by_stratum(difference: FloatArray, strata: Sequence[Stratum]) -> Iterator[tuple[str, str, float]]:
    for stratum in strata if len(strata) > 1 else ():
        part = difference[stratum.start : stratum.start + stratum.count]
        yield stratum.name, "max_abs", float(part.max())
        yield stratum.name, "mean_abs", float(part.mean(dtype=np.float64))


def _looks(expected: FloatArray, found: FloatArray, vae: VaeSpec) -> Iterator[tuple[str, float]]:
    folded = [images.reshape(-1, *vae.image_shape) for images in (expected, found)]
    similarity = ssim(folded[0], folded[1], span=vae.range_span)
    yield "ssim", float(similarity.mean())
    yield "ssim_worst", float(similarity.min())


def _steps(difference: FloatArray, span: float) -> Iterator[tuple[str, float]]:
    rmse = root_mean_square(difference)
    if rmse > 0:  # equal images have no ratio of signal to noise
        yield "psnr_db", psnr_db(rmse, span)
    for steps in (1, 4):
        yield f"share_off_by_{steps}", float(np.mean(difference > steps * span / 255))


def _tolerance(output: str, metric: str) -> Tolerance:
    return Tolerance(output=output, metric=metric, limit=0.0, source="")
