"""Deviations of an artifact's outputs from the original's, computed once for checks, figures and the worst input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.manifest import Stratum
from pocketvae.numerics.likelihoods import Observed
from pocketvae.numerics.metrics import (
    DoubleArray,
    absolute_difference,
    elementwise_metrics,
    measure,
    posterior_kl,
)
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.runtimes.base import FloatArray
from pocketvae.vae_spec import VaeSpec


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """Statistics of |artifact - original| of one output.

    Attributes:
        metrics: Values over all samples and elements by name; empty if a value is not finite.
        by_sample: Largest deviation of each sample, `[N]`.
        by_stratum: `max_abs` and `mean_abs` for each kind of samples; empty if there is only one kind.
    """

    metrics: Mapping[str, float]
    by_sample: FloatArray
    by_stratum: Mapping[str, Mapping[str, float]]


class Deviations:
    """The deviations of an artifact's outputs.

    The difference of an output is as large as the output. It is computed on first use together with everything that
    will be needed of it, and then dropped.
    """

    def __init__(
        self,
        original: Mapping[str, FloatArray],
        artifact: Mapping[str, FloatArray],
        vae: VaeSpec,
        *,
        strata: Sequence[Stratum] = (),
        observed: Observed | None = None,
        anomalous: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Stores the outputs to compare.

        Args:
            original: The original's outputs `[N, ...]` by name.
            artifact: The artifact's outputs `[N, ...]` by name.
            vae: Specifies the image's range.
            strata: The kinds of samples.
            observed: The images that the first golden latents were drawn for.
            anomalous: `[N]`, which samples of a scorer are anomalies.
        """
        self.original, self.artifact, self.vae, self.observed = original, artifact, vae, observed
        self._strata, self._anomalous = strata, anomalous
        self._known: dict[str, Deviation] = {}
        self._measured: dict[tuple[str, str], float] = {}
        self._kl: DoubleArray | None = None

    def between(self, original: Mapping[str, FloatArray], artifact: Mapping[str, FloatArray]) -> Deviations:
        """Returns the deviations of other outputs for the same samples."""
        return Deviations(
            original, artifact, self.vae, strata=self._strata, observed=self.observed, anomalous=self._anomalous
        )

    def of(self, output: str) -> Deviation:
        """Returns the deviation of one output."""
        if output not in self._known:
            self._known[output] = self._look(output)
        return self._known[output]

    def measure(self, tolerance: Tolerance) -> float:
        """Returns the same as `metrics.measure`, but computes each metric only once.

        Raises:
            SpecError: as for `metrics.measure`.
        """
        key = tolerance.output, tolerance.metric
        known = self._known.get(tolerance.output)
        if known is not None and tolerance.metric in known.metrics:
            return known.metrics[tolerance.metric]
        if key not in self._measured:
            self._measured[key] = measure(
                tolerance,
                self.original,
                self.artifact,
                image_span=self.vae.span_of(tolerance.output),
                observed=self.observed,
                anomalous=self._anomalous,
            )
        return self._measured[key]

    def posterior_kl(self) -> DoubleArray:
        """Returns KL(original || artifact) of each sample's posterior in nats, `[N]`."""
        if self._kl is None:
            self._kl = posterior_kl(self.original, self.artifact)
        return self._kl

    def is_finite(self, output: str) -> bool:
        """Whether all values of an output are finite, on both sides."""
        return bool(np.isfinite(self.of(output).by_sample).all())

    def _look(self, output: str) -> Deviation:
        difference = absolute_difference(self.original[output], self.artifact[output])
        by_sample: FloatArray = difference.reshape(len(difference), -1).max(axis=1)
        if not np.isfinite(by_sample).all():
            return Deviation(metrics={}, by_sample=by_sample, by_stratum={})
        by_stratum = {}
        for stratum in self._strata if len(self._strata) > 1 else ():
            part = slice(stratum.start, stratum.start + stratum.count)
            mean_abs = float(difference[part].mean(dtype=np.float64))
            by_stratum[stratum.name] = {"max_abs": float(by_sample[part].max()), "mean_abs": mean_abs}
        # This comes last because it reorders the differences.
        data = self.vae.output_of(output)
        metrics = elementwise_metrics(difference, None if data is None else data.span)
        return Deviation(metrics=metrics, by_sample=by_sample, by_stratum=by_stratum)
