"""Deviation of artifacts from the original, each as one figure in the unit of its output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pocketvae.benchmarks.parity.results import VerifyResult
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.metrics import CODES_CHANGED, POSTERIOR
from pocketvae.vae_spec import DATA_OUTPUTS, LOG_VAR_ENDING, MEAN_ENDING, DataKind

# Artifacts are compared by the first of these that all have. The change of the ELBO is in nats, not in pixels.
_DATA = tuple((str(kind), metric) for kind in DataKind for metric in ("p99_abs", "max_abs"))
_POSTERIOR = ((POSTERIOR, "kl_mean"),)
# Invisible deviations: half a grey step of 1/255, a hundredth of a nat or in a float encoder's outputs.
_INVISIBLE_STEPS, _INVISIBLE = 0.5, 0.01


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One artifact's deviation.

    Attributes:
        value: In 255ths of the range for data, grey steps of an image, in nats for posteriors, unscaled for latents.
        metric: A name of `pocketvae.numerics.metrics`.
        invisible: The largest value that makes no difference.
        text: The deviation as text.
    """

    value: float
    metric: str
    invisible: float
    text: str

    @property
    def closeness(self) -> int:
        """Returns 0 if the deviation is invisible, 1 up to twice that, 2 up to four times that, and so on."""
        return 0 if self.value <= self.invisible else math.ceil(math.log2(self.value / self.invisible))


def deviations(verify: VerifyResult, artifacts: Sequence[str]) -> dict[str, Deviation]:
    """Returns the deviation of each artifact that has one.

    All use the same metric if they share one, as every completely verified artifact does. Otherwise each uses the
    metric it was checked by: the largest deviation for float files, a percentile or a mean for quantized ones.

    Args:
        verify: The result with figures and checks.
        artifacts: Artifacts of one component.
    """
    found = {name: _values(verify, name) for name in artifacts}
    codes = sorted({pair for values in found.values() for pair in values if pair[1] == CODES_CHANGED})
    for metric in (*_DATA, *_POSTERIOR, *codes):
        if found and all(metric in values for values in found.values()):
            return {name: _deviation(metric, values[metric], verify.image_span) for name, values in found.items()}
    own = {name: _own(values) for name, values in found.items()}
    return {name: _deviation(*pair, verify.image_span) for name, pair in own.items() if pair is not None}


def _values(verify: VerifyResult, artifact: str) -> dict[tuple[str, str], float]:
    """Returns the largest value of each output and metric, over targets and batches."""
    known = [(f.output, f.metric, f.value) for f in verify.figures if f.artifact == artifact and not f.stratum]
    known += [(c.output, c.metric, c.value) for c in verify.checks if c.artifact == artifact and c.value is not None]
    values: dict[tuple[str, str], float] = {}
    for output, metric, value in known:
        values[output, metric] = max(value, values.get((output, metric), 0.0))
    return values


def _own(values: Mapping[tuple[str, str], float]) -> tuple[tuple[str, str], float] | None:
    latents = tuple((output, "max_abs") for output, _ in values if output.endswith((MEAN_ENDING, LOG_VAR_ENDING)))
    codes = tuple(pair for pair in values if pair[1] == CODES_CHANGED)
    for metrics in (_DATA, _POSTERIOR, codes, latents):
        known = [metric for metric in metrics if metric in values]
        if known:
            metric = max(known, key=values.__getitem__)
            return metric, values[metric]
    return None


def _deviation(metric: tuple[str, str], value: float, span: float) -> Deviation:
    output, name = metric
    if output in DATA_OUTPUTS:
        steps, is_image = value / span * 255, output == DataKind.IMAGE
        size = f"{steps:.2g} of 255 grey steps" if is_image else kind_of(DataKind(output)).deviation(value / span)
        item = "pixel" if is_image else "value"
        where = f"in 99 of 100 {item}s" if name == "p99_abs" else f"in any {item}"
        return Deviation(value=steps, metric=name, invisible=_INVISIBLE_STEPS, text=f"at most {size} {where}")
    if name == CODES_CHANGED:
        return Deviation(value=value, metric=name, invisible=_INVISIBLE, text=f"{100 * value:.2g} % of codes changed")
    text = f"{value:.2g} nats on average" if output == POSTERIOR else f"at most {value:.2g} in {output}"
    return Deviation(value=value, metric=name, invisible=_INVISIBLE, text=text)
