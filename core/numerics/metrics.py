"""Deviation of an artifact's outputs from the original's, by the names that tolerances use.

Every metric is 0 for equal outputs and grows with the deviation. A value that is not finite, on either side, makes
every metric NaN, which fails every limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from pocketvae.errors import SpecError, unknown_name
from pocketvae.numerics.chunks import chunks
from pocketvae.numerics.gaussian import kl_divergence
from pocketvae.numerics.likelihoods import Observed
from pocketvae.numerics.ranking import auroc
from pocketvae.numerics.ssim import ssim
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.vae_spec import LOG_VAR_ENDING, MEAN_ENDING

Array = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
Outputs = Mapping[str, Array]

# The name of all means and log-variances together in tolerances.
POSTERIOR = "posterior"
_IMAGE_DIMENSIONS = 4
# A unit is active if the variance of its mean over the data is above this (Burda et al. 2016).
_ACTIVE_VARIANCE = 0.01


def absolute_difference(expected: Array, found: Array) -> Array:
    """Returns |found - expected|, `[N, ...] float32`, with a relative rounding error of 6e-8; NaN where one is NaN."""
    # Large outputs take hundreds of megabytes, so nothing is converted to float64.
    with np.errstate(invalid="ignore"):
        difference = np.subtract(found, expected, dtype=np.float32)
    absolute: Array = np.abs(difference, out=difference)
    return absolute


def _quantile_99(difference: Array) -> float:
    """Returns the 99th percentile of all values and reorders them in place, since copying a large array is slow."""
    return float(np.quantile(difference.reshape(-1), 0.99, overwrite_input=True))


def _root_mean_square(difference: Array) -> float:
    """Returns the root of the mean square, summed in float64."""
    few = chunks(len(difference), difference[0].size)
    total = sum(float(np.sum(np.square(difference[part], dtype=np.float64))) for part in few)
    return float(np.sqrt(total / difference.size))


def _share_off(difference: Array, limit: float) -> float:
    few = chunks(len(difference), difference[0].size)
    return sum(int(np.count_nonzero(difference[part] > limit)) for part in few) / difference.size


# The 99th percentile is the last, since it reorders the differences.
_ELEMENTWISE: Mapping[str, Callable[[Array], float]] = {
    "max_abs": lambda difference: float(difference.max()),
    "mean_abs": lambda difference: float(difference.mean(dtype=np.float64)),
    "rmse": _root_mean_square,
    "p99_abs": _quantile_99,
}
_STEPS = {"share_off_by_1": 1, "share_off_by_4": 4}
_PAIRWISE = ("cosine_loss", "ssim_loss", "ssim_loss_max")
_POSTERIOR = ("kl_mean", "kl_max", "active_units_changed")
# For images whose observations are known, see `likelihoods.Observed`.
ELBO_CHANGE = "elbo_change"
# The share of integer codes that differ: how far their numbers are apart means nothing.
CODES_CHANGED = "codes_changed"
# Of scorers: the share of alarms that differ, and two that need to know which samples are anomalies.
DECISIONS_CHANGED, AUROC_CHANGE, NORMAL_MEAN_ABS = "decisions_changed", "auroc_change", "normal_mean_abs"
_OF_ANOMALIES = (AUROC_CHANGE, NORMAL_MEAN_ABS)
# What needs more than outputs: a few samples alone cannot be held to it.
OF_WHOLE_SETS = (ELBO_CHANGE, *_OF_ANOMALIES)
METRICS = (
    ELBO_CHANGE,
    CODES_CHANGED,
    DECISIONS_CHANGED,
    *_OF_ANOMALIES,
    *_ELEMENTWISE,
    *_STEPS,
    *_PAIRWISE,
    *_POSTERIOR,
)


def elementwise_metrics(difference: Array, image_span: float | None = None) -> dict[str, float]:
    """Returns every metric of |artifact - original| by its name; the order of the differences is lost.

    Args:
        difference: `[N, ...]`, finite.
        image_span: White minus black of an image, which has shares in grey steps too; None for other outputs.
    """
    steps = _STEPS if image_span is not None else {}
    shares = {metric: _share_off(difference, count * (image_span or 0) / 255) for metric, count in steps.items()}
    return shares | {metric: function(difference) for metric, function in _ELEMENTWISE.items()}


def measure(
    tolerance: Tolerance,
    original: Outputs,
    artifact: Outputs,
    *,
    image_span: float = 1.0,
    observed: Observed | None = None,
    anomalous: npt.NDArray[np.bool_] | None = None,
) -> float:
    """Returns the value that a tolerance limits; NaN if an output is not finite.

    Elementwise metrics are of |artifact - original| over all samples and elements; `share_off_by_1` and
    `share_off_by_4` are the shares of elements that differ by more than one and four of 255 grey steps. `cosine_loss`
    is 1 - cos over everything at once, `ssim_loss` 1 - SSIM on average over the samples and `ssim_loss_max` of the
    worst one. `kl_mean` and `kl_max` are of KL(original || artifact) in nats over the samples, `active_units_changed`
    counts latent dimensions that are active in one but not in the other. `elbo_change` is the change of the mean ELBO
    in nats per image over the latents of observed images; `codes_changed` is the share of integer codes that differ,
    `decisions_changed` that of alarms. `auroc_change` is the change of the area under the ROC curve of a score,
    `normal_mean_abs` the mean change of the scores of normal items.

    Args:
        tolerance: Names the output and the metric.
        original: Outputs `[N, ...]` by name.
        artifact: Outputs `[N, ...]` by name.
        image_span: White minus black.
        observed: The images that the first latents were drawn for; `elbo_change` needs them.
        anomalous: `[N]`, which samples are anomalies; `auroc_change` and `normal_mean_abs` need it.

    Raises:
        SpecError: the metric or the output is unknown, or the metric is for images and the output is not an image, or
            it needs observed images or known anomalies and there are none.
    """
    metric = tolerance.metric
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    if metric in _POSTERIOR:
        return _measure_posterior(metric, original, artifact)
    expected, found = (_output(outputs, tolerance.output) for outputs in (original, artifact))
    if not (np.isfinite(expected).all() and np.isfinite(found).all()):
        return float("nan")
    if metric == ELBO_CHANGE:
        if observed is None:
            raise SpecError("the change of the ELBO needs the images that the golden latents were drawn for")
        return observed.elbo_change(expected, found)
    if metric in _OF_ANOMALIES:
        return _measure_scores(metric, expected, found, anomalous)
    if metric in (CODES_CHANGED, DECISIONS_CHANGED):
        return float(np.mean(expected != found))
    if metric == "cosine_loss":
        return _cosine_loss(expected, found)
    if metric in _PAIRWISE:
        loss: DoubleArray = 1 - _similarity(expected, found, image_span)
        return float(loss.mean() if metric == "ssim_loss" else loss.max())
    difference = absolute_difference(expected, found)
    if metric in _STEPS:
        return _share_off(difference, _STEPS[metric] * image_span / 255)
    return _ELEMENTWISE[metric](difference)


def is_posterior(names: Iterable[str]) -> bool:
    """Whether outputs of these names are those of an encoder with a posterior."""
    return any(name.endswith(LOG_VAR_ENDING) for name in names)


def posterior_kl(original: Outputs, artifact: Outputs) -> DoubleArray:
    """Returns KL(original || artifact) of each sample's posterior in nats, `[N]`."""
    # All latents count as one vector, also those with a shape of their own.
    values = [_all_of(outputs, ending) for outputs in (original, artifact) for ending in (MEAN_ENDING, LOG_VAR_ENDING)]
    return np.asarray(kl_divergence(*values), np.float64)


def psnr_db(rmse: float, image_span: float = 1.0) -> float:
    """Returns the peak signal-to-noise ratio for a root mean square error; infinite if the error is 0."""
    return float("inf") if rmse == 0 else 20 * float(np.log10(image_span / rmse))


def _measure_posterior(metric: str, original: Outputs, artifact: Outputs) -> float:
    endings = (MEAN_ENDING, LOG_VAR_ENDING)
    if not all(np.isfinite(_all_of(outputs, ending)).all() for outputs in (original, artifact) for ending in endings):
        return float("nan")
    if metric == "active_units_changed":
        active = [_all_of(outputs, MEAN_ENDING).var(axis=0) > _ACTIVE_VARIANCE for outputs in (original, artifact)]
        return float(np.count_nonzero(active[0] != active[1]))
    kl = posterior_kl(original, artifact)
    return float(kl.mean() if metric == "kl_mean" else kl.max())


def _measure_scores(metric: str, expected: Array, found: Array, anomalous: npt.NDArray[np.bool_] | None) -> float:
    if anomalous is None or anomalous.all() or not anomalous.any():
        raise SpecError(f"{metric} needs samples of which it is known that some are anomalies and some are not")
    if metric == NORMAL_MEAN_ABS:
        return float(np.abs(found[~anomalous].astype(np.float64) - expected[~anomalous]).mean())
    areas = [auroc(scores[~anomalous], scores[anomalous]) for scores in (expected, found)]
    return abs(areas[1] - areas[0])


def _cosine_loss(expected: Array, found: Array) -> float:
    # Sums, not vdot: BLAS starts threads for it that cost more than they save, especially on a busy machine.
    few = chunks(len(expected), expected[0].size)
    pairs = ((expected[part].astype(np.float64), found[part].astype(np.float64)) for part in few)
    sums = np.sum([(np.sum(e * e), np.sum(f * f), np.sum(e * f)) for e, f in pairs], axis=0)
    norm = float(np.sqrt(sums[0] * sums[1]))
    if norm == 0:
        return 0.0 if np.array_equal(expected, found) else 1.0
    return max(0.0, 1 - float(sums[2]) / norm)


def _similarity(expected: Array, found: Array, image_span: float) -> DoubleArray:
    if expected.ndim != _IMAGE_DIMENSIONS:
        raise SpecError(f"structural similarity needs images [N, H, W, C], got an output of shape {expected.shape}")
    return ssim(expected, found, span=image_span)


def _all_of(outputs: Outputs, ending: str) -> DoubleArray:
    """Returns the outputs whose names end so, one after another by latent, since runtimes order them: `[N, D]`."""
    # By the latents' names: with the endings, z and z_low would have one order as means, another as log-variances.
    names = sorted(name.removesuffix(ending) for name in outputs if name.endswith(ending)) or ["z"]
    parts = [_output(outputs, f"{name}{ending}").astype(np.float64) for name in names]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _output(outputs: Outputs, name: str) -> Array:
    if name not in outputs:
        raise unknown_name("output", name, outputs)
    return outputs[name]
