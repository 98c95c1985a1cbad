"""A prior that is fitted when training has ended: a mixture of Gaussians on the posteriors of the training items.

Training fits a prior and the posteriors to each other. Of a small and varied set, what such a prior draws lies between
the items more often than beside one. A mixture with many components, fitted to posteriors that stay as they are,
stays beside them, at a cost in likelihood (ex-post density estimation, Ghosh et al. 2020).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.data.items import ItemSet, random_indices
from pocketvae.keras.mixtures import build_mixture
from pocketvae.train.augmentation import augment
from pocketvae.train.config import TrainConfig
from pocketvae.train.model import Noise, VaeModel
from pocketvae.vae_spec import PriorKind

FloatArray = npt.NDArray[np.float32]

_STREAM = 7
_BATCH = 500
# Posteriors to fit to: of a small set several of each item, changed and binarized anew.
_MOST_ROWS, _MOST_COPIES = 20_000, 12
_ITERATIONS, _LEAST_GAIN_NATS = 100, 0.01
# Of each dimension's variance over all posteriors, so that a component on a single item keeps a width.
_LEAST_VARIANCE = 1e-3
# Values of the responsibilities that are held at once.
_BLOCK_VALUES = 1 << 23


def refitted(model: VaeModel, items: ItemSet, config: TrainConfig) -> VaeModel:
    """Returns the same networks with a mixture of `config.refit_components` Gaussians as the prior.

    Of few items it has fewer: one for every two, since one for each would only repeat them. The same weights, items
    and configuration give the same mixture.

    Args:
        model: A trained model.
        items: The training items; at most 20,000 are encoded.
        config: Of its training.
    """
    rng = np.random.default_rng([config.seed, _STREAM])
    # Not `items.some`, which would be one array of them all.
    chosen = random_indices(len(items), _MOST_ROWS, rng)
    z_mean, z_var = _posteriors(model, items, chosen, config)
    count = min(config.refit_components, max(1, len(chosen) // 2))
    means, log_scales = fit_components(z_mean, z_var, count, rng)
    return model.with_prior(build_mixture(means, log_scales), replace(model.spec, prior=PriorKind.MIXTURE))


def fit_components(
    z_mean: FloatArray, z_var: FloatArray, count: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Fits equally weighted diagonal Gaussians to posteriors by expectation maximization.

    Each step raises a lower bound of the mean of E_q[log p(z)], the term of the ELBO that a prior has a part in; the
    posteriors' variances enter in closed form, nothing is drawn.

    Args:
        z_mean: `[N, D]`, N at least `count`.
        z_var: `[N, D]`, variances.
        count: K.
        rng: Chooses the posteriors that the components begin at.

    Returns:
        Means and logarithms of standard deviations, `[K, D]` each.
    """
    centre = z_mean.mean(axis=0)
    scale = np.sqrt(z_mean.var(axis=0) + z_var.mean(axis=0)) + np.float32(1e-6)
    mean, var = (z_mean - centre) / scale, z_var / scale**2
    means = mean[random_indices(len(mean), count, rng)]
    variances = np.ones_like(means)
    before = -math.inf
    for _ in range(_ITERATIONS):
        bound, means, variances = _em_step(mean, var, means, variances)
        if bound - before < _LEAST_GAIN_NATS:
            break
        before = bound
    log_scales = 0.5 * np.log(variances) + np.log(scale)
    return (centre + scale * means).astype(np.float32), log_scales.astype(np.float32)


def _em_step(
    mean: FloatArray, var: FloatArray, means: FloatArray, variances: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Returns the bound before the step, in nats, and the new components."""
    count, dim = means.shape
    total, first, second = np.zeros(count), np.zeros((count, dim)), np.zeros((count, dim))
    bound, rows = 0.0, max(1, _BLOCK_VALUES // count)
    square = mean**2 + var
    precisions = 1 / variances
    constant = -0.5 * ((means**2 * precisions + np.log(variances)).sum(axis=1) + dim * math.log(2 * math.pi))
    for start in range(0, len(mean), rows):
        part = slice(start, start + rows)
        logits = mean[part] @ (means * precisions).T - 0.5 * (square[part] @ precisions.T) + constant
        highest = logits.max(axis=1, keepdims=True)
        shares = np.exp(logits - highest)
        sums = shares.sum(axis=1, keepdims=True)
        shares /= sums
        bound += float((highest + np.log(sums)).sum(dtype=np.float64))
        total += shares.sum(axis=0)
        first += shares.T @ mean[part]
        second += shares.T @ square[part]
    taken = total[:, None] > 1e-3
    weight = np.maximum(total, 1e-3)[:, None]
    fitted = first / weight
    spread = np.maximum(second / weight - fitted**2, 0) + _LEAST_VARIANCE
    # A component that no posterior belongs to stays where it is.
    return (
        bound / len(mean) - math.log(count),
        np.where(taken, fitted, means).astype(np.float32),
        np.where(taken, spread, variances).astype(np.float32),
    )


def _posteriors(
    model: VaeModel, items: ItemSet, chosen: npt.NDArray[np.intp], config: TrainConfig
) -> tuple[FloatArray, FloatArray]:
    """Returns means and variances of q(z|x), `[N, D]` each, of the chosen items as training last saw them."""
    changes = not 0 < config.augmented_epochs < config.epochs
    found: list[tuple[Any, Any]] = []
    for number in range(max(1, min(_MOST_COPIES, _MOST_ROWS // len(chosen)))):
        for start in range(0, len(chosen), _BATCH):
            part = items.take(chosen[start : start + _BATCH])
            # Negative numbers: those from 0 up are the steps of training.
            noise = Noise(seed=np.array([config.seed, -1 - number * len(chosen) - start], np.int64))
            x = model.observe(augment(part.items, config, noise) if changes else part.items, noise)
            z_mean, z_log_var = model.encode(x, part.labels_or_zeros())
            found.append((np.asarray(z_mean), np.exp(np.asarray(z_log_var))))
    means, variances = (np.concatenate(values) for values in zip(*found, strict=True))
    return means, variances
