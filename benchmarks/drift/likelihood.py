"""Log-likelihoods of items under exported files, in numpy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pocketvae.numerics import likelihoods
from pocketvae.numerics.gaussian import log_normal
from pocketvae.numerics.latents import posterior_of
from pocketvae.runtimes.base import FloatArray
from pocketvae.vae_spec import DataKind, Likelihood, PriorKind, VaeSpec

DoubleArray = npt.NDArray[np.float64]

# Quantized sigmoids return 0 and 1; half a grey step is as close to certainty as an image of 256 values can express.
_CERTAIN = 0.5 / 255


def elbo_reason(vae: VaeSpec) -> str:
    """Returns why items do not have a likelihood under exported files; empty if they do."""
    if not vae.has_posterior:
        return "the encoder has no posterior"
    if vae.data is not DataKind.IMAGE:
        return "" if likelihoods.has_elbo(vae) else "the likelihood of its channels, or their noise, is not known"
    if vae.likelihood is Likelihood.BERNOULLI:
        return ""
    if vae.likelihood is Likelihood.GAUSSIAN and vae.noise_scale is not None:
        return ""
    return f"an exported decoder with the likelihood {vae.likelihood} only returns its mean"


def nll_reason(vae: VaeSpec) -> str:
    """Returns why -log p(x) cannot be computed; empty if it can."""
    if vae.prior is PriorKind.STANDARD:
        return elbo_reason(vae)
    return f"a bundle can sample from the prior {vae.prior} but does not contain its density"


def log_likelihood(images: FloatArray, decoded: FloatArray, vae: VaeSpec) -> DoubleArray:
    """Returns log p(x|z) in nats, `[N]`; probabilities keep half a grey step from 0 and 1.

    Args:
        images: `[N, H, W, C]` in the image's range, binary under a Bernoulli likelihood; other data `[N, ...]` in units
            of the model.
        decoded: What the decoder returns, of the same shape or flat.
        vae: Specifies likelihood and range.
    """
    if vae.data is not DataKind.IMAGE:
        shaped = [values.reshape(len(images), *vae.data_shape) for values in (images, decoded)]
        return likelihoods.log_likelihood(vae, *shaped)
    low, span = vae.data_range[0], vae.range_span
    x, p = ((values.reshape(len(images), -1).astype(np.float64) - low) / span for values in (images, decoded))
    if vae.likelihood is Likelihood.BERNOULLI:
        p = np.clip(p, _CERTAIN, 1 - _CERTAIN)
        return np.asarray(np.sum(x * np.log(p) + (1 - x) * np.log1p(-p), axis=1))
    scale = float(vae.noise_scale or 1.0)
    density = -0.5 * np.square((x - p) / scale) - np.log(scale) - 0.5 * np.log(2 * np.pi)
    return np.asarray(np.sum(density, axis=1))


def log_weights(
    likelihood: DoubleArray, z: FloatArray, posterior: Mapping[str, FloatArray], vae: VaeSpec
) -> DoubleArray:
    """Returns log p(x|z) + log p(z) - log q(z|x) `[N]`; without log p(z) if the prior's density is unknown.

    The omitted term is the same on both sides of a pair that shares its latents: two decoders do, two encoders do not.
    """
    flat = z.reshape(len(z), -1)
    weights = likelihood - log_normal(flat, *posterior_of(posterior, vae))
    if vae.prior is PriorKind.STANDARD:
        zero = np.zeros_like(flat)
        weights = weights + log_normal(flat, zero, zero)
    return np.asarray(weights, np.float64)
