"""What a user-supplied decoder's output is, and its data, decided from names, shapes and sampled values."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pocketvae.errors import ExportError
from pocketvae.outputs import Meaning
from pocketvae.spec import STRICT
from pocketvae.vae_spec import DataKind, Likelihood

# Of a sum of probabilities in float32.
_SUM_ERROR = 1e-3


class DecoderOutput(enum.StrEnum):
    """The kind of values that a decoder returns.

    PROBABILITIES: values in [0, 1]. LOGITS: the export appends the sigmoid. TANH: values in [-1, 1]. IMAGE: values of
    any range, taken as they are.
    """

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    IMAGE = "image"
    TANH = "tanh"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An output beside the data that the user asks for.

    Attributes:
        name: As the decoder names it.
        meaning: What it is; None to detect it.
    """

    __pydantic_config__ = STRICT
    name: str
    meaning: Meaning | None = None


@dataclass(frozen=True, kw_only=True)
class OutputMeaning:
    """The interpretation of a decoder's output.

    Attributes:
        likelihood: BERNOULLI for logits, else UNKNOWN: no head is appended.
        data_range: Values of black and white.
        is_strict: Whether a value outside this range fails.
        reason: The reason as text.
        doubt: What may be wrong with this, as text; empty if there is no doubt.
    """

    likelihood: Likelihood
    data_range: tuple[float, float]
    is_strict: bool
    reason: str
    doubt: str = ""


# A square number of values with sides shorter than this is rather a table than a picture.
_LEAST_SIDE = 16
_UNIT, _TANH, _PIXELS = (0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)
_SLACK = 1e-6
# The share of a proven range that samples must span for it to be the image's, and not a loose bound.
_FILLED = 0.25
_SQUASHING: Mapping[str, DecoderOutput] = {
    "Sigmoid": DecoderOutput.PROBABILITIES,
    "Softmax": DecoderOutput.PROBABILITIES,
    "Tanh": DecoderOutput.TANH,
}
_CLIPPING = frozenset({"ClipByValue", "Maximum", "Minimum", "Relu6"})
_NAME_IT = "name it with --decoder-output (probabilities, logits, image or tanh)"
# Images without a bound are taken for ones of a usual range whose ends samples miss, or go beyond, by no more than this
# share of it.
_SHORT, _BEYOND = 0.25, 0.5


def output_meaning(
    named: DecoderOutput | None, last_operator: str, low: float, high: float, bounds: tuple[float, float] | None = None
) -> OutputMeaning:
    """Decides what a decoder's output is.

    Args:
        named: Stated by the user; None to detect it.
        last_operator: TensorFlow's name of the last operator that changes values.
        low: Smallest sampled output.
        high: Largest sampled output.
        bounds: The range that the last operators prove; None if they do not.

    Raises:
        ExportError: the samples contradict what the user stated.
    """
    found = named or _SQUASHING.get(last_operator) or _bounded_as(bounds)
    if found is None and last_operator in _CLIPPING and _inside(_UNIT, low, high):
        found = DecoderOutput.PROBABILITIES
    why = f"stated with --decoder-output {named}" if named else f"the last operator is {last_operator}"
    if found is DecoderOutput.LOGITS:
        if last_operator in _SQUASHING:
            raise ExportError(f"the decoder's output cannot be logits if its last operator is {last_operator}")
        reason = f"logits ({why}); a sigmoid was appended"
        return OutputMeaning(likelihood=Likelihood.BERNOULLI, data_range=_UNIT, is_strict=True, reason=reason)
    if found in (DecoderOutput.PROBABILITIES, DecoderOutput.TANH):
        limits = _UNIT if found is DecoderOutput.PROBABILITIES else _TANH
        if not _inside(limits, low, high):
            raise ExportError(
                f"--decoder-output {found} needs values in [{limits[0]:g}, {limits[1]:g}], got {low:.4g} to {high:.4g}"
            )
        reason = f"values in [{limits[0]:g}, {limits[1]:g}] ({why})"
        return OutputMeaning(likelihood=Likelihood.UNKNOWN, data_range=limits, is_strict=True, reason=reason)
    if named is None and bounds is not None and high - low >= _FILLED * (bounds[1] - bounds[0]):
        reason = f"image in [{bounds[0]:g}, {bounds[1]:g}] (its last operators allow no other values)"
        return OutputMeaning(likelihood=Likelihood.UNKNOWN, data_range=bounds, is_strict=True, reason=reason)
    return _as_returned(named, why, low, high)


def _bounded_as(bounds: tuple[float, float] | None) -> DecoderOutput | None:
    """Returns what the range of a sigmoid or tanh stands for, also behind a crop or a rescaling."""
    for limits, kind in ((_UNIT, DecoderOutput.PROBABILITIES), (_TANH, DecoderOutput.TANH)):
        if bounds is not None and max(abs(a - b) for a, b in zip(bounds, limits, strict=True)) <= _SLACK:
            return kind
    return None


def _as_returned(named: DecoderOutput | None, why: str, low: float, high: float) -> OutputMeaning:
    limits = _UNIT if _inside(_UNIT, low, high) else outward(low, high)
    doubt = ""
    if named is None:
        doubt = f"the decoder's output ({low:.4g} to {high:.4g}) was assumed to be the image itself; {_NAME_IT}"
    return OutputMeaning(
        likelihood=Likelihood.UNKNOWN,
        data_range=limits,
        is_strict=False,
        reason=f"as returned, {limits[0]:g} to {limits[1]:g} in samples ({why})",
        doubt=doubt,
    )


def with_image_range(
    meaning: OutputMeaning, stated: tuple[float, float] | None, seen: tuple[float, float], *, is_image: bool
) -> OutputMeaning:
    """Returns the same with black and white of images whose values nothing bounds: as stated, or of a usual range.

    Args:
        meaning: Of a decoder's output.
        stated: By the user, as `--image-range`.
        seen: The smallest and largest value of samples of the prior.
        is_image: Whether the data are images.

    Raises:
        ExportError: the range cannot be stated, since the data are no images or have a range of their own.
    """
    if stated is not None and not is_image:
        raise ExportError("--image-range is for images, and the decoder's data are none")
    if stated is not None and meaning.is_strict:
        low, high = meaning.data_range
        if stated == meaning.data_range:
            return meaning
        raise ExportError(
            f"--image-range {stated[0]:g},{stated[1]:g} contradicts the decoder, whose images are in "
            f"[{low:g}, {high:g}]: "
            f"{meaning.reason}"
        )
    if not is_image or meaning.is_strict:
        return meaning
    usual = next((limits for limits in (_UNIT, _TANH, _PIXELS) if _is_about(limits, *seen)), None)
    limits = stated or usual
    if limits is None:
        doubt = meaning.doubt and f"{meaning.doubt}, and black and white with --image-range LOW,HIGH"
        return replace(meaning, doubt=doubt)
    how = "stated with --image-range" if stated else "assumed"
    between = f"black {limits[0]:g} and white {limits[1]:g}"
    doubt = ""
    if stated is None and meaning.doubt:
        doubt = (
            f"the decoder's output ({seen[0]:.4g} to {seen[1]:.4g}) was assumed to be the image itself, {between}; "
            f"{_NAME_IT}, and its range with --image-range LOW,HIGH"
        )
    reason = f"as returned, {seen[0]:.4g} to {seen[1]:.4g} in samples, {between} ({how})"
    return replace(meaning, data_range=limits, reason=reason, doubt=doubt)


def _is_about(limits: tuple[float, float], low: float, high: float) -> bool:
    span = limits[1] - limits[0]
    return all(-_BEYOND * span <= inward <= _SHORT * span for inward in (low - limits[0], limits[1] - high))


def _inside(limits: tuple[float, float], low: float, high: float) -> bool:
    return low >= limits[0] - _SLACK and high <= limits[1] + _SLACK


def outward(low: float, high: float) -> tuple[float, float]:
    """Rounds a range outward to three digits of its span, for readability."""
    unit = 10.0 ** math.floor(math.log10(max(high - low, 1e-6)) - 2)
    return math.floor(low / unit) * unit, math.ceil(high / unit) * unit


# An image with more is taken for one with its channels first.
_MOST_CHANNELS = 16


def image_shape_of(shape: tuple[int, ...], named: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """Returns `(height, width, channels)` of a decoder's output.

    Args:
        shape: Shape of one output: `(H, W, C)`, or `(P,)` for a flat one.
        named: By the user.

    Raises:
        ExportError: the shape is not supported, contradicts the stated one, or is flat and not one or three squares.
    """
    if len(shape) == 3:
        found = (shape[0], shape[1], shape[2])
        if named is not None and named != found:
            raise ExportError(f"--image-shape must be {listed(found, ',')} as in the decoder, got {listed(named, ',')}")
        if named is None and found[0] <= _MOST_CHANNELS < found[2]:
            raise ExportError(
                f"the decoder returns [N, {listed(found)}], which looks like channels first: end it with a "
                f"Permute((2, 3, 1)) layer, or state --image-shape {listed(found, ',')} if it has {found[2]} channels"
            )
        return found
    if len(shape) != 1:
        raise ExportError(f"an image must be [N, H, W, C] or a flat [N, P], got [N, {listed(shape)}]")
    if named is not None:
        if math.prod(named) != shape[0]:
            raise ExportError(f"--image-shape must have the decoder's {shape[0]} values, got {math.prod(named)}")
        return named
    for channels in (1, 3):
        side = math.isqrt(shape[0] // channels)
        if side * side * channels == shape[0]:
            return side, side, channels
    raise ExportError(f"{shape[0]} values are not a square image: state the shape with --image-shape H,W,C")


def data_kind_of(
    shape: tuple[int, ...],
    stated: DataKind | None,
    *,
    named: tuple[int, int, int] | None,
    taken: tuple[int, ...] | None,
    is_bounded: bool,
    has_steps: bool = True,
) -> tuple[DataKind, str]:
    """Returns the kind of data that a decoder returns, and what may be wrong with this as text.

    Args:
        shape: Of one output.
        stated: By the user, as `--data-kind`.
        named: `(height, width, channels)` if the user stated an image's shape.
        taken: What the encoder takes, without the batch; None if there is no encoder or its sizes are open.
        is_bounded: Whether the output has a range like that of pixels, such as that of a sigmoid.
        has_steps: Whether layers over time, such as convolutions of one dimension, make the output, or may.

    Raises:
        ExportError: the shape is not of the stated kind, or of none.
    """
    if stated is not None or named is not None:
        kind = stated or DataKind.IMAGE
        if kind.rank != len(shape) and not (kind is DataKind.IMAGE and len(shape) in (1, 2)):
            raise ExportError(f"a decoder of {kind}s returns [N, {kind.axes}], got [N, {listed(shape)}]")
        return kind, ""
    kinds = {kind.rank: kind for kind in DataKind}
    if len(shape) not in kinds:
        raise ExportError(f"the decoder must return [N, ...] of 1 to 4 dimensions, got [N, {listed(shape)}]")
    if len(shape) == DataKind.SEQUENCE.rank:
        is_plane = is_bounded and not has_steps and min(shape) >= _LEAST_SIDE and max(shape) < 2 * min(shape)
        if taken == (*shape, 1):
            return DataKind.IMAGE, ""
        if is_plane:
            doubt = f"the decoder's [N, {listed(shape)}] were assumed to be images, to which a channel was added"
            return DataKind.IMAGE, f"{doubt}: --data-kind sequence says that they are not"
    if len(shape) != 1:
        return kinds[len(shape)], ""
    if taken is not None and len(taken) == DataKind.IMAGE.rank and math.prod(taken) == shape[0]:
        return DataKind.IMAGE, ""
    sides = {channels: math.isqrt(shape[0] // channels) for channels in (1, 3)}
    square = next((side for channels, side in sides.items() if side**2 * channels == shape[0]), 0)
    if is_bounded and square >= _LEAST_SIDE:
        doubt = f"the decoder's {shape[0]} values were assumed to be a {square}x{square} image: "
        return DataKind.IMAGE, f"{doubt}--data-kind vector says that they are not"
    return DataKind.VECTOR, ""


def listed(shape: Sequence[int | None], separator: str = ", ") -> str:
    """Returns sizes as text, `?` for an open one."""
    return separator.join("?" if size is None else str(size) for size in shape)


def classifier_doubt(shape: Sequence[int], latent: Sequence[int], sums: Sequence[float]) -> str:
    """Returns a warning where a decoder looks like a classifier; empty if it does not.

    Args:
        shape: Of its output, without the batch.
        latent: Of its main input, likewise.
        sums: The sum of the output's values, which are none below 0, for each sample.
    """
    fewer = len(shape) == 1 and math.prod(shape) < math.prod(latent)
    if not fewer or any(abs(total - 1) > _SUM_ERROR for total in sums):
        return ""
    return (
        f"the decoder returns {shape[0]} values that sum to 1 for an input [{listed(latent)}], as a classifier does: "
        f"a decoder takes a latent and returns data"
    )
