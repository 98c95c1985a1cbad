"""The drift of every artifact of a bundle: likelihood, samples and diversity compared with the float32 file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pocketvae.benchmarks.drift.control import four_bit
from pocketvae.benchmarks.drift.images import DriftImages
from pocketvae.benchmarks.drift.likelihood import elbo_reason, log_likelihood, log_weights, nll_reason
from pocketvae.benchmarks.drift.statistics import (
    LEAST_PAIRS,
    largest_equal_distance,
    paired_change,
    squared_distance,
)
from pocketvae.benchmarks.parity.checks import structural_check
from pocketvae.benchmarks.parity.results import CONTROL, Check, Measurement
from pocketvae.benchmarks.targets.host import HostTarget
from pocketvae.bundle.bundle import Array, Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError
from pocketvae.numerics.conditions import drawn_conditions
from pocketvae.numerics.gaussian import reparameterize
from pocketvae.numerics.latents import drawn_noise, joined_latents, means_of, posterior_of, split_latents
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import Component, Precision
from pocketvae.system.temporary import temporary_directory
from pocketvae.vae_spec import DataKind, VaeSpec

DoubleArray = npt.NDArray[np.float64]
Outputs = Mapping[str, FloatArray]
Inputs = dict[str, Array]

MARGIN_NATS = 0.1
# Of data that are not images, whose densities differ far more from item to item, as export's limits.
_MARGIN_SHARE = 0.05
_LATENTS_PER_IMAGE = 16
_SAMPLES = 2048
_SEED = 0
_CONTROL = f"{CONTROL}4bit"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The result of the drift tests.

    Attributes:
        checks: Tests with a limit, including the control.
        figures: Mean changes and diversity.
        notes: What could not be tested, with the reason.
    """

    checks: tuple[Check, ...]
    figures: tuple[Measurement, ...]
    notes: tuple[str, ...]


def measure_drift(bundle: Bundle, images: DriftImages | None, *, progress: ProgressCallback = ignore_progress) -> Drift:
    """Tests every artifact that has a float32 counterpart, and a decoder with 4-bit weights that must fail.

    Args:
        bundle: A bundle with a float32 decoder, and a float32 encoder for tests that need images.
        images: The images; None if there are none.
        progress: Called for every artifact, once for its likelihood and once for its samples.

    Raises:
        SpecError: the encoder does not take what the decoder makes.
        TargetError: a runtime is missing.
        ArtifactFault: a file cannot be run; verify reports which one.
    """
    check_comparable(bundle.manifest.vae)
    return _Measurement(bundle, images, progress).run()


def check_comparable(vae: VaeSpec) -> None:
    """Checks that an encoder takes what the decoder makes.

    Raises:
        SpecError: it does not.
    """
    if vae.log_mel is not None:
        raise SpecError(
            "--thorough compares what decoders make by an encoder's means of it, but this decoder makes spectrograms, "
            "and the encoder takes samples of sound: leave it out"
        )


@dataclass(frozen=True, kw_only=True)
class _Samples:
    """What the artifacts of a component are compared with.

    Attributes:
        inputs: `[N, ...]` each.
        other: Features of the float32 images for other inputs, `[N, D]`.
        same: Features of the float32 images for these inputs, `[N, D]`.
        largest_equal: The squared distance that one in a thousand equal pairs of samples exceeds.
    """

    inputs: Inputs
    other: DoubleArray
    same: DoubleArray
    largest_equal: float


class _Measurement:
    """The measurement of one bundle; values that all artifacts share are computed once."""

    def __init__(self, bundle: Bundle, images: DriftImages | None, progress: ProgressCallback) -> None:
        self._progress = progress
        self._bundle, self._images, self._vae = bundle, images, bundle.manifest.vae
        self._run = HostTarget().open(bundle)
        self._decoder, self._encoder = (self._float32(c) for c in (Component.DECODER, Component.ENCODER))
        self._checks: list[Check] = []
        self._figures: list[Measurement] = []
        self._notes: list[str] = []
        self._samples: dict[Component, _Samples] = {}

    def run(self) -> Drift:
        if self._decoder is None:
            self._notes.append("drift was not measured: the bundle has no float32 decoder")
        elif not any(True for _ in self._tested(*Component)):
            self._notes.append("drift was not measured: every artifact is float32")
        else:
            self._likelihoods(self._decoder)
            if self._encoder is None or self._vae.is_discrete:
                reason = "the bundle has no float32 encoder, whose latents are the features"
                reason = "integer codes are no features of images" if self._vae.is_discrete else reason
                self._notes.append(f"samples were not tested: {reason}")
            else:
                self._distributions()
            self._control(self._decoder)
        return Drift(checks=tuple(self._checks), figures=tuple(self._figures), notes=tuple(self._notes))

    def _likelihoods(self, decoder: ArtifactRecord) -> None:
        reason = elbo_reason(self._vae)
        if not reason and (self._images is None or self._encoder is None):
            reason = "the bundle has no float32 encoder"
        if reason:
            self._notes.append(f"the change of the ELBO was not tested: {reason}")
            return
        components: tuple[Component, ...] = (Component.DECODER, Component.ENCODER)
        if nll_reason(self._vae):
            self._notes.append(f"the change of -log p(x) was not tested: {nll_reason(self._vae)}")
            # An encoder draws latents of its own, of which log p(z) differs: without it a worse ELBO may be the larger.
            components = (Component.DECODER,)
            if any(True for _ in self._tested(Component.ENCODER)):
                self._notes.append(f"the change of the ELBO by encoders was not tested: {nll_reason(self._vae)}")
        for artifact in self._told("testing likelihoods", *components):
            self._checks += self._likelihood_checks(artifact.name, self._weights(artifact))

    def _likelihood_checks(self, name: str, weights: DoubleArray) -> list[Check]:
        """Returns the tests of one artifact from its log weights `[N, K]`."""
        margin = self._margin_nats()
        changes = {"elbo_change": (self._reference_weights() - weights).mean(axis=1)}
        if not nll_reason(self._vae):
            changes["nll_change"] = _log_mean_exp(self._reference_weights()) - _log_mean_exp(weights)
        checks = []
        for metric, values in changes.items():
            change = paired_change(values)
            assert self._images is not None  # noqa: S101 - there are weights
            source = (
                f"TOST: 95 % confidence on each side that the change is within {margin:.2g} nats, "
                f"{self._images.source}, "
                f"{_LATENTS_PER_IMAGE} latents each"
            )
            interval = f"{change.mean:+.3f} nats, 90 % interval {change.low:+.3f} to {change.high:+.3f}"
            if change.count < LEAST_PAIRS:
                interval = f"the test takes at least {LEAST_PAIRS} {self._vae.data}s, got {change.count}"
            checks.append(_check(name, "x", metric, change.farthest, margin, source, interval))
            self._figures.append(_figure(name, "x", f"{metric}_mean", change.mean))
        return checks

    def _margin_nats(self) -> float:
        if self._vae.data is DataKind.IMAGE:
            return MARGIN_NATS
        differs = float(self._reference_weights().mean(axis=1).std())
        by_noise = math.sqrt(math.prod(self._vae.data_shape) / 2)
        return max(MARGIN_NATS, _MARGIN_SHARE * max(differs, by_noise))

    def _weights(self, artifact: ArtifactRecord, content: bytes | None = None) -> DoubleArray:
        """Returns log p(x|z) + log p(z) - log q(z|x) `[N, K]`, with float32 for all components but the artifact's."""
        assert self._images is not None  # noqa: S101 - asked for with images only
        assert self._encoder is not None  # noqa: S101
        assert self._decoder is not None  # noqa: S101
        encoder, decoder = self._encoder, self._decoder
        if artifact.component is Component.ENCODER:
            encoder = artifact
        else:
            decoder = artifact
        x, conditions = self._images.x, self._images.conditions
        own = {item.name: conditions[item.name] for item in self._vae.encoder_conditions}
        posterior = self._outputs(encoder, {"x": x, **own})
        rng = np.random.default_rng(_SEED)
        columns = []
        for _ in range(_LATENTS_PER_IMAGE):
            mean, log_var = posterior_of(posterior, self._vae)
            z = reparameterize(mean, log_var, rng.standard_normal(mean.shape)).astype(np.float32)
            feed = {**split_latents(z, self._vae.latents), **conditions}
            decoded = self._outputs(decoder, feed, content)[self._vae.output]
            columns.append(log_weights(log_likelihood(x, decoded, self._vae), z, posterior, self._vae))
        return np.stack(columns, axis=1)

    def _reference_weights(self) -> DoubleArray:
        if not hasattr(self, "_reference"):
            assert self._decoder is not None  # noqa: S101 - asked for with a decoder only
            self._reference = self._weights(self._decoder)
        return self._reference

    def _distributions(self) -> None:
        for artifact in self._told("testing samples", Component.DECODER, Component.GENERATOR):
            self._checks += self._distribution_checks(artifact, artifact.name)

    def _distribution_checks(self, artifact: ArtifactRecord, name: str, content: bytes | None = None) -> list[Check]:
        if artifact.component not in self._samples:
            self._samples[artifact.component] = self._draw(artifact.component)
        drawn = self._samples[artifact.component]
        found = self._features(self._outputs(artifact, drawn.inputs, content)[self._vae.output], drawn.inputs)
        output, items = self._vae.output, f"{self._vae.data}s"
        # Without a finite reference there is no finite limit either.
        references = np.isfinite([drawn.other, drawn.same]).all()
        if not references or not np.isfinite(found).all():
            whose = f"its {items}" if references else f"the float32 file's {items}"
            return [_check(name, output, "mmd2", None, 0.0, "", f"the features of {whose} are not finite")]
        distance, count = squared_distance(drawn.other, found), len(found)
        source = f"one in 1,000 permutations of two float32 samples, {count} {items} each, features of the encoder"
        spread, reference = (float(values.var(axis=0, ddof=1).sum()) for values in (found, drawn.same))
        if reference > 0:  # Images that are all alike have no diversity to compare with.
            self._figures.append(_figure(name, output, "diversity_ratio", spread / reference))
        return [_check(name, output, "mmd2", max(distance, 0.0), max(drawn.largest_equal, 0.0), source, "")]

    def _draw(self, component: Component) -> _Samples:
        record = self._float32(component)
        assert record is not None  # noqa: S101 - only what has a float32 counterpart is tested
        rng = np.random.default_rng(_SEED)
        other, inputs = (self._inputs(component, rng) for _ in range(2))
        features = [self._features(self._outputs(record, item)[self._vae.output], item) for item in (other, inputs)]
        return _Samples(
            inputs=inputs,
            other=features[0],
            same=features[1],
            largest_equal=largest_equal_distance(features[0], features[1], _SEED),
        )

    def _inputs(self, component: Component, rng: np.random.Generator) -> Inputs:
        conditions = drawn_conditions(self._vae, _SAMPLES, rng)
        if component is Component.GENERATOR:
            limits = np.iinfo(np.int32)
            seeds = rng.integers(limits.min, limits.max, (2, _SAMPLES), endpoint=True).astype(np.int32)
            return {"seed": seeds[0], "index": seeds[1], **conditions}
        noise = drawn_noise(self._vae, _SAMPLES, rng)
        prior = self._float32(Component.PRIOR)
        more = conditions if self._vae.prior_takes_label else {}
        z = noise if prior is None else joined_latents(self._outputs(prior, {"eps": noise, **more}), self._vae)
        return {**split_latents(z, self._vae.latents), **conditions}

    def _features(self, images: FloatArray, inputs: Inputs) -> DoubleArray:
        """Returns the encoder's mean of each image, `[N, D]`."""
        assert self._encoder is not None  # noqa: S101 - asked for with an encoder only
        x = images.reshape(-1, *self._vae.tensor_shape(Component.ENCODER))
        feed: Inputs = {"x": x, **{item.name: inputs[item.name] for item in self._vae.encoder_conditions}}
        return means_of(self._outputs(self._encoder, feed), self._vae).astype(np.float64)

    def _control(self, decoder: ArtifactRecord) -> None:
        """Adds a check that passes if a decoder with 4-bit weights fails, and a note on the power of each test."""
        content = four_bit(self._bundle.artifact_path(decoder).read_bytes(), decoder.format)
        kept = len(self._figures)
        checks: list[Check] = []
        if any(check.metric == "elbo_change" for check in self._checks):
            checks += self._likelihood_checks(_CONTROL, self._weights(decoder, content))
        if any(check.metric == "mmd2" for check in self._checks):
            checks += self._distribution_checks(decoder, _CONTROL, content)
        del self._figures[kept:]
        for check in checks:
            told = "not told apart, so this test says little here" if check.passed else "told apart"
            self._notes.append(f"{_CONTROL} {check.metric}: {_shown(check)}, {told}")
        if checks:
            problem = "4-bit weights pass every test, so the tests prove nothing here"
            problem = problem if all(check.passed for check in checks) else ""
            self._checks.append(structural_check(_CONTROL, "host", "told apart", problem))

    def _outputs(self, artifact: ArtifactRecord, inputs: Inputs, content: bytes | None = None) -> Outputs:
        if content is None:
            return self._run.run(artifact, inputs, batch=artifact.batches[0])
        with temporary_directory() as folder:
            copy = replace(self._bundle, path=folder)
            copy.artifact_path(artifact).write_bytes(content)
            with HostTarget().open(copy) as run:
                return run.run(artifact, inputs, batch=artifact.batches[0])

    def _told(self, stage: str, *components: Component) -> Iterator[ArtifactRecord]:
        """Yields each item that is tested and reports progress."""
        artifacts = list(self._tested(*components))
        for done, artifact in enumerate(artifacts):
            self._progress(Progress(stage=stage, done=done, total=len(artifacts), detail=artifact.name))
            yield artifact
        self._progress(Progress(stage=stage, done=len(artifacts), total=len(artifacts)))

    def _tested(self, *components: Component) -> Iterator[ArtifactRecord]:
        for artifact in self._bundle.manifest.artifacts:
            quantized = artifact.precision is not Precision.FLOAT32
            if artifact.component in components and quantized and self._float32(artifact.component) is not None:
                yield artifact

    def _float32(self, component: Component) -> ArtifactRecord | None:
        for artifact in self._bundle.manifest.artifacts:
            if artifact.component is component and artifact.precision is Precision.FLOAT32:
                return artifact
        return None


def _shown(check: Check) -> str:
    return "not finite" if check.value is None else f"{check.value:.3g}, limit {check.limit:.3g}"


def _log_mean_exp(values: DoubleArray) -> DoubleArray:
    """Returns log mean exp over the last axis."""
    largest = values.max(axis=1)
    mean: DoubleArray = largest + np.log(np.mean(np.exp(values - largest[:, None]), axis=1))
    return mean


def _check(
    artifact: str, output: str, metric: str, value: float | None, limit: float, source: str, detail: str
) -> Check:
    finite = value is not None and bool(np.isfinite(value))
    passed = finite and value is not None and value <= limit
    return Check(
        artifact=artifact,
        target="host",
        output=output,
        metric=metric,
        value=value if finite else None,
        limit=limit,
        limit_source=source,
        passed=passed,
        detail="" if passed else (detail or f"{value:.3g} is above the limit of {limit:.3g}"),
    )


def _figure(artifact: str, output: str, metric: str, value: float) -> Measurement:
    return Measurement(artifact=artifact, target="host", output=output, stratum="", metric=metric, value=value)
