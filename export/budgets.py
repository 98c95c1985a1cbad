"""The limits of every artifact, and where each number comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pocketvae.bundle.manifest import Stratum
from pocketvae.errors import SpecError
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.export.output_budgets import output_tolerances
from pocketvae.export.precisions.base import PixelBudget
from pocketvae.export.precisions.registry import export_of
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.ceilings import float_ceiling
from pocketvae.numerics.metrics import (
    AUROC_CHANGE,
    CODES_CHANGED,
    DECISIONS_CHANGED,
    ELBO_CHANGE,
    NORMAL_MEAN_ABS,
    OF_WHOLE_SETS,
)
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.outputs import Output
from pocketvae.spec import ArtifactSpec, Component, ImageDtype, Precision
from pocketvae.vae_spec import ALARM, CONTRIBUTIONS, LOG_VAR_ENDING, MEAN_ENDING, SCORE, DataKind

# Another summation order, another exponential function and fused multiply-adds each add about as much as the original
# differs from itself over batch sizes, threads, oneDNN, eager and graph; ten times leaves room for all of them on
# another CPU.
FLOOR_FACTOR = 10.0
# A model whose outputs never change with the batch size still may differ by a few units in the last place.
_SMALLEST_FLOOR = 1e-6
HALF_FACTOR = 2.0

_PIXEL = 1 / 255
# Nats add up over pixels: 0.1 nats of a 28x28 digit are 1.3e-4 per pixel, and the same per pixel of a larger image.
_ELBO_NATS = 0.1
_ELBO_VALUES = 784
_ENCODER_KL_NATS = 0.1
# Of data that are not images: a change by 5 percent of what the ELBO differs from item to item moves fewer than 1
# percent of all items across a threshold. The noise of p(x|z) alone spreads it by sqrt(values / 2).
_ELBO_SHARE = 0.05
# Shares of integer codes that may differ.
_CODES_FLOAT, _CODES_QUANTIZED = 1e-3, 0.05
# Of scorers: shares of decisions and of the area under the ROC curve that may change, and how far the scores of normal
# items may move on average, in standard deviations of them. The last bit of int8_io is the interface's.
_DECISIONS, _AUROC, _GOLDENS = 0.01, 0.005, 512
_SCORE_SHARE, _SCORE_SHARES = 0.5, {Precision.INT8_IO: 1.0}
# With fewer goldens, what a limit says names how many they are.
_MANY_GOLDENS = 100


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The error budget of quantization; None stands for the default.

    Attributes:
        p99_steps: Largest error of 99 percent of a decoder's values, in 255ths of their range: grey steps of an image.
        mean_steps: Largest mean error of its values, likewise.
        elbo_nats: Largest change of the mean ELBO of observed images.

    Raises:
        SpecError: a value is not positive.
    """

    p99_steps: float | None = None
    mean_steps: float | None = None
    elbo_nats: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("p99", self.p99_steps), ("mean", self.mean_steps), ("elbo", self.elbo_nats)):
            if value is not None and not 0 < value < float("inf"):
                raise SpecError(f"--budget-{name} must be a positive number, got {value:g}")


DEFAULT_BUDGET = Budget()


@dataclass(frozen=True, kw_only=True)
class LimitRules:
    """What the limits of one component's artifacts follow from; whoever needs limits asks here.

    Attributes:
        floor: Of the component.
        image_span: White minus black, 255 steps.
        budget: Of quantized artifacts.
        observed_values: Pixels times channels of the images that golden latents were drawn for; 0 where there are
            none, or where their likelihood is unknown.
        data: The kind of data.
        more: What a decoder returns beside the data.
        few_goldens: Number of goldens where there are fewer than usual, because each is large; else 0.
        share: Of its limits that a network is made with: less where what it becomes a part of needs more.
    """

    floor: NoiseFloor
    image_span: float = 1.0
    budget: Budget = DEFAULT_BUDGET
    observed_values: int = 0
    data: DataKind = DataKind.IMAGE
    more: tuple[Output, ...] = ()
    few_goldens: int = 0
    share: float = 1.0

    def for_network(self, spec: ArtifactSpec) -> tuple[Tolerance, ...]:
        """Returns what the network of an artifact is held to while it is made, before it shows pixels to apps."""
        limits = base_tolerances(
            spec,
            self.floor,
            self.image_span,
            budget=self.budget,
            observed_values=self.observed_values,
            data=self.data,
            more=self.more,
        )
        return tuple(replace(limit, limit=self.share * limit.limit) for limit in limits)

    def for_artifact(self, spec: ArtifactSpec, kernel_spread: Mapping[str, float]) -> tuple[Tolerance, ...]:
        """Returns what verify holds an artifact to.

        Args:
            spec: The artifact.
            kernel_spread: Of a float file, by output; empty for others.
        """
        limits = tolerances(
            spec, self.floor, self.image_span, kernel_spread, self.budget, self.observed_values, self.data, self.more
        )
        if not self.few_goldens:
            return limits
        return tuple(replace(limit, source=f"{limit.source}; over {self.few_goldens} goldens") for limit in limits)


def few_goldens(strata: Sequence[Stratum]) -> int:
    """Returns the number of goldens where it is smaller than usual, else 0."""
    count = sum(stratum.count for stratum in strata)
    return count if count < _MANY_GOLDENS else 0


def of_few_samples(limits: tuple[Tolerance, ...]) -> tuple[Tolerance, ...]:
    """Returns the limits that a single file can be held to: it holds no images to take the ELBO of, and few samples."""
    return tuple(limit for limit in limits if limit.metric not in OF_WHOLE_SETS)


_KERNELS = "how far the runtime's optimized and built-in kernels differ on this file"


def tolerances(
    spec: ArtifactSpec,
    floor: NoiseFloor,
    image_span: float = 1.0,
    kernel_spread: Mapping[str, float] | None = None,
    budget: Budget = DEFAULT_BUDGET,
    observed_values: int = 0,
    data: DataKind = DataKind.IMAGE,
    more: tuple[Output, ...] = (),
) -> tuple[Tolerance, ...]:
    """Returns the tolerances that verify applies to an artifact, see `base_tolerances` and `with_pixel_rounding`."""
    limits = base_tolerances(spec, floor, image_span, kernel_spread, budget, observed_values, data, more)
    return with_pixel_rounding(spec, limits, image_span)


def with_pixel_rounding(
    spec: ArtifactSpec, limits: tuple[Tolerance, ...], image_span: float = 1.0
) -> tuple[Tolerance, ...]:
    """Returns the limits with half a grey step more where an artifact returns pixels.

    An image that is rounded to whole pixels moves by half a step at the most, so that a float artifact stays within
    one step. Pixels that are taken stand for exactly the numbers that an artifact of float32 images is given.
    Whole pixels are no probabilities, so that the ELBO is not theirs to hold.

    Args:
        spec: The artifact.
        limits: Of the same artifact with float32 images.
        image_span: White minus black, 255 steps.
    """
    if spec.image_dtype is not ImageDtype.UINT8 or spec.component is Component.ENCODER:
        return limits
    half_step = 0.5 * _PIXEL * image_span
    return tuple(
        replace(limit, limit=limit.limit + half_step, source=f"half a grey step of rounding, and {limit.source}")
        if limit.output == DataKind.IMAGE
        else limit
        for limit in limits
        if limit.metric != ELBO_CHANGE
    )


def base_tolerances(
    spec: ArtifactSpec,
    floor: NoiseFloor,
    image_span: float = 1.0,
    kernel_spread: Mapping[str, float] | None = None,
    budget: Budget = DEFAULT_BUDGET,
    observed_values: int = 0,
    data: DataKind = DataKind.IMAGE,
    more: tuple[Output, ...] = (),
) -> tuple[Tolerance, ...]:
    """Returns the tolerances of an artifact with float32 images.

    Artifacts without floating-point arithmetic must be equal. Limits of other float artifacts are a multiple of the
    original's own spread, those of quantized ones a budget in the units of their use: pixel steps for images, a share
    of the range for other data, nats for an encoder.

    Args:
        spec: The artifact.
        floor: Of its component.
        image_span: White minus black, 255 steps.
        kernel_spread: Of a float file, by output. It counts up to the limit without it: what differs by more is a
            fault of a kernel, not its noise.
        budget: Of quantized artifacts.
        observed_values: Values of one of the items that golden latents were drawn for; 0 where there are none, or where
            their likelihood is not known.
        data: The kind of data.
        more: What a decoder returns beside the data.
    """
    if floor.exact:
        source = "bit-identical by construction: integer arithmetic and a table"
        return tuple(Tolerance(output=name, metric="max_abs", limit=0.0, source=source) for name in floor.float32)
    if spec.component is Component.ENCODER:
        codes = [name for name in floor.float32 if not name.endswith((MEAN_ENDING, LOG_VAR_ENDING))]
        rest = floor.without(codes)
        spread = {name: value for name, value in (kernel_spread or {}).items() if name in rest.float32}
        if rest.float32 and spec.precision.is_float:
            limits = _float_tolerances(spec.precision, rest, spread)
        else:
            limits = _posterior_tolerances(spec, rest, budget, observed_values, data) if rest.float32 else ()
        return (*(_code_tolerance(spec.precision, name, floor) for name in codes), *limits)
    if spec.precision.is_float:
        limits = _float_tolerances(spec.precision, floor, kernel_spread or {})
        return limits if spec.component is not Component.SCORER else (*limits, *_decision_tolerances(floor.decisions))
    if spec.component is Component.SCORER:
        return (*_score_tolerances(spec.precision, floor), *_decision_tolerances(floor.decisions))
    return (
        *_data_tolerances(spec, image_span, budget, data),
        *output_tolerances(more, floor.float32, _steps(spec.precision, budget)),
        *_elbo_tolerances(spec, floor, budget, observed_values, data),
    )


def _float_tolerances(
    precision: Precision, floor: NoiseFloor, kernel_spread: Mapping[str, float]
) -> tuple[Tolerance, ...]:
    floor = _with_kernels(floor, kernel_spread)
    names = sorted(name for name in floor.float32 if name != ALARM)
    return tuple(_float_tolerance(precision, name, floor) for name in names)


def _posterior_tolerances(
    spec: ArtifactSpec, floor: NoiseFloor, budget: Budget, observed_values: int, data: DataKind
) -> tuple[Tolerance, ...]:
    """Returns the limits of what a quantized encoder says of latents of real numbers."""
    if all(name.endswith(MEAN_ENDING) for name in floor.float32):
        return _latent_tolerances(spec, floor, budget)
    limit, why = _spread_limit(floor, observed_values, data, _ENCODER_KL_NATS)
    source = f"budget: {limit:.2g} nats between the original's and the artifact's posterior{why}"
    return (Tolerance(output="posterior", metric="kl_mean", limit=limit, source=source),)


def _data_tolerances(spec: ArtifactSpec, image_span: float, budget: Budget, data: DataKind) -> tuple[Tolerance, ...]:
    step, kind = _PIXEL * image_span, kind_of(data)
    return tuple(
        Tolerance(output=data.value, metric=metric, limit=steps * step, source=kind.budget(steps, image_span))
        for metric, steps in _steps(spec.precision, budget).items()
    )


def _steps(precision: Precision, budget: Budget) -> dict[str, float]:
    """Returns the limit of each metric in 255ths of a range."""
    default = _pixel_budget(precision)
    return {
        "p99_abs": budget.p99_steps or default.p99_steps,
        "mean_abs": budget.mean_steps or default.mean_steps,
    }


def _decision_tolerances(decisions: int) -> tuple[Tolerance, ...]:
    """Returns what a scorer in any precision is held to: it decides as the original does, and separates as well.

    Of few goldens the share that differs says little of that of all items: a limit of two standard errors more does not
    fail a file that holds the budget. The error of a change of the area falls with the root of their number too: its
    limit is for as many as a scorer has where there are enough.

    Args:
        decisions: Number of goldens; 0 for very many.
    """
    error = math.sqrt(_DECISIONS * (1 - _DECISIONS) / decisions) if decisions else 0.0
    flips = f"budget: 1 decision in {1 / _DECISIONS:g}, with the artifact's own threshold"
    flips += f", and two standard errors of {decisions} goldens" if decisions else ""
    fewer = math.sqrt(max(1.0, _GOLDENS / decisions)) if decisions else 1.0
    area = f"budget: {_AUROC:g} of the area under the ROC curve of goldens, normal ones and made anomalies"
    area += f", for {_GOLDENS}, and {fewer:.2g} times as much for {decisions}" if fewer > 1 else ""
    return (
        Tolerance(output=ALARM, metric=DECISIONS_CHANGED, limit=_DECISIONS + 2 * error, source=flips),
        Tolerance(output=SCORE, metric=AUROC_CHANGE, limit=_AUROC * fewer, source=area),
    )


def _score_tolerances(precision: Precision, floor: NoiseFloor) -> tuple[Tolerance, ...]:
    """Returns the limit of a quantized scorer's scores, in nats: a share of the spread of normal ones."""
    share, spread = _SCORE_SHARES.get(precision, _SCORE_SHARE), floor.normal_spread
    source = f"budget: {share:g} of the standard deviation of normal scores, {spread:.3g} nats"
    return (Tolerance(output=SCORE, metric=NORMAL_MEAN_ABS, limit=share * spread, source=source),)


def _code_tolerance(precision: Precision, output: str, floor: NoiseFloor) -> Tolerance:
    """Returns the limit of integer codes: the share of them that may differ."""
    share, source = _CODES_QUANTIZED, f"budget: 1 code in {1 / _CODES_QUANTIZED:g}"
    if precision.is_float:
        spread = floor.float32[output] + (floor.float16[output] if export_of(precision).rounds_to_half else 0.0)
        share = min(max(FLOOR_FACTOR * spread, _CODES_FLOAT), _CODES_QUANTIZED)
        source = f"1 code in {1 / share:g}, as two can be equally near; {spread:.1e} of the original's own differ"
    return Tolerance(output=output, metric=CODES_CHANGED, limit=share, source=source)


def _latent_tolerances(spec: ArtifactSpec, floor: NoiseFloor, budget: Budget) -> tuple[Tolerance, ...]:
    """Returns the limits of an encoder without a posterior: shares of the range of its latents, as for data."""
    return tuple(
        Tolerance(
            output=name,
            metric=metric,
            limit=steps * _PIXEL * span,
            source=f"budget: {100 * steps * _PIXEL:.2g} % of the range of {name}, {span:.3g}",
        )
        for name, span in floor.ranges.items()
        for metric, steps in _steps(spec.precision, budget).items()
    )


def _elbo_tolerances(
    spec: ArtifactSpec, floor: NoiseFloor, budget: Budget, observed_values: int, data: DataKind
) -> tuple[Tolerance, ...]:
    has_elbo = spec.component is Component.DECODER and _pixel_budget(spec.precision).has_elbo
    if not has_elbo or not observed_values:
        return ()
    limit, why = _spread_limit(floor, observed_values, data, _ELBO_NATS)
    source = f"budget: {limit:.2g} nats between the ELBO of the original and of the artifact{why}"
    shared = observed_values / _ELBO_VALUES * _ELBO_NATS if data is DataKind.IMAGE else 0.0
    if shared > limit:
        limit = shared
        source = f"budget: {_ELBO_NATS:g} nats for each {_ELBO_VALUES} of {observed_values} observed values of the ELBO"
    if budget.elbo_nats is not None:
        limit, source = budget.elbo_nats, f"budget: {budget.elbo_nats:g} nats of the ELBO, as requested"
    return (Tolerance(output=data.value, metric=ELBO_CHANGE, limit=limit, source=source),)


def _spread_limit(floor: NoiseFloor, values: int, data: DataKind, least: float) -> tuple[float, str]:
    """Returns a limit in nats of an item's ELBO or posterior, and the reason where it is not the least one."""
    by_noise = math.sqrt(values / 2)
    share = _ELBO_SHARE * max(by_noise, floor.elbo_spread_nats)
    if data is DataKind.IMAGE or share <= least:
        return least, ""
    cause = "it differs" if floor.elbo_spread_nats > by_noise else f"noise alone changes it with {values} values"
    return share, f", {100 * _ELBO_SHARE:g} % of what {cause} from item to item"


def _pixel_budget(precision: Precision) -> PixelBudget:
    budget = export_of(precision).pixel_budget
    if budget is None:
        raise AssertionError(f"{precision} is quantized, so that its module must state a budget")
    return budget


def _with_kernels(floor: NoiseFloor, spread: Mapping[str, float]) -> NoiseFloor:
    largest = {name: FLOOR_FACTOR * max(value, _SMALLEST_FLOOR) for name, value in floor.float32.items()}
    return floor.widened({name: value for name, value in spread.items() if value <= largest[name]}, _KERNELS)


def _float_tolerance(precision: Precision, output: str, floor: NoiseFloor) -> Tolerance:
    measured = floor.float32[output]
    # Those units are of the value: a score in nats can be thousands.
    smallest = _SMALLEST_FLOOR * (floor.ranges.get(output, 1.0) if output in (SCORE, CONTRIBUTIONS) else 1.0)
    spread = max(measured, smallest)
    limit = FLOOR_FACTOR * spread
    cause = floor.cause.get(output, "")
    how = cause if cause == _KERNELS else f"the original against itself, most {cause}".rstrip()
    source = f"{FLOOR_FACTOR:g} x {spread:.1e}, {how}"
    if measured < smallest:
        source = f"{FLOOR_FACTOR:g} x {spread:.1e}, the smallest spread assumed (measured {measured:.1e})"
    rounding = floor.rounding.get(output, 0.0)
    if rounding > measured:
        limit += rounding
        source = f"{rounding:.1e}, the original's own rounding against double precision, plus {source}"
    if export_of(precision).rounds_to_half:
        half = floor.float16[output]
        limit += HALF_FACTOR * half
        source = f"{HALF_FACTOR:g} x {half:.1e}, the original with weights rounded to half precision, plus {source}"
    most = float_ceiling(precision, output, floor.ranges.get(output, 1.0))
    if not limit <= most:
        limit, source = most, f"{most:.1e}, the most that rounding explains, less than {source}"
    return Tolerance(output=output, metric="max_abs", limit=limit, source=source)
