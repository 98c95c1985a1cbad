"""What an interface is made of: kinds of data, likelihoods, priors, channels, conditions, the front end of sounds.

One module, since each that a worker imports is memory that bench measures.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.spec import STRICT, TensorSpec

# What is added to a band's power before its logarithm: 100 dB below a sine of full scale. Added, because the larger of
# two numbers is no number in some runtimes and the other in others.
FLOOR = 1e-10


class Likelihood(enum.StrEnum):
    """The distribution p(x|z) whose parameters the decoder computes.

    BERNOULLI: binary pixels; the decoder returns C logits per pixel. GAUSSIAN: one standard deviation shared by all
    pixels, or one for each channel of other data; the decoder returns C means. STUDENT_T: the same with heavier tails,
    for data with outliers. MIXED: each channel has the distribution of its kind, Gaussian, Bernoulli or categorical.
    DISCRETIZED_LOGISTIC: 256 pixel values; the decoder has two outputs, C means and C logarithms of scales per pixel.
    UNKNOWN: a user-supplied model; its decoder returns the image itself.
    """

    BERNOULLI = "bernoulli"
    GAUSSIAN = "gaussian"
    DISCRETIZED_LOGISTIC = "discretized_logistic"
    STUDENT_T = "student_t"
    MIXED = "mixed"
    UNKNOWN = "unknown"

    @property
    def decoder_outputs(self) -> int:
        """Number of outputs of a decoder, each in the shape of the image."""
        return 2 if self is Likelihood.DISCRETIZED_LOGISTIC else 1


class PriorKind(enum.StrEnum):
    """The distribution p(z).

    STANDARD: N(0, I) of real numbers; integer codes beside them are each equally likely. UNIFORM: of latents that all
    are codes, each equally likely. MIXTURE: diagonal Gaussians of equal weights, or with weights and full covariances
    where it was fitted to latents. VAMP: a mixture whose components are the posteriors of learned pseudo-inputs
    (Tomczak and Welling 2018). REALNVP: a flow of affine couplings (Dinh et al. 2017).
    """

    STANDARD = "standard"
    UNIFORM = "uniform"
    MIXTURE = "mixture"
    VAMP = "vamp"
    REALNVP = "realnvp"

    @property
    def is_learned(self) -> bool:
        """Whether it is a model of its own, which turns noise into latents."""
        return self not in (PriorKind.STANDARD, PriorKind.UNIFORM)

    @property
    def is_mixture(self) -> bool:
        """Whether sampling selects a component, which takes one more noise value than there are dimensions."""
        return self in (PriorKind.MIXTURE, PriorKind.VAMP)


class PosteriorKind(enum.StrEnum):
    """What an encoder computes: GAUSSIAN, mean and log-variance of q(z|x); or NONE, a latent alone.

    The encoder of a plain autoencoder has no posterior: its only output is named like a mean, `z_mean`. Nor has one of
    integer codes, whose only output is `z`. Of codes beside real numbers it is that of the real numbers.
    """

    GAUSSIAN = "gaussian"
    NONE = "none"


class DataKind(enum.StrEnum):
    """The kind of data that a VAE models; the value is also the name of a decoder's output.

    IMAGE: `[H, W, C]`, pixels from black to white. VECTOR: `[F]`, a row of a table or a curve. SEQUENCE: `[T, C]`, C
    channels over time. VOLUME: `[D, H, W, C]`, voxels.
    """

    IMAGE = "image"
    VECTOR = "vector"
    SEQUENCE = "sequence"
    VOLUME = "volume"

    @property
    def rank(self) -> int:
        """Number of dimensions of one item."""
        return {DataKind.IMAGE: 3, DataKind.VECTOR: 1, DataKind.SEQUENCE: 2, DataKind.VOLUME: 4}[self]

    @property
    def axes(self) -> str:
        """The dimensions of one item in words."""
        return {
            DataKind.IMAGE: "height, width, channels",
            DataKind.VECTOR: "values",
            DataKind.SEQUENCE: "time steps, channels",
            DataKind.VOLUME: "depth, height, width, channels",
        }[self]


class ChannelKind(enum.StrEnum):
    """What the values of a channel are.

    REAL: a real number. BINARY: 0 or 1, of which a decoder returns the probability of 1. CATEGORY: one of several that
    takes as many values of the model as there are categories, of which a decoder returns the probabilities.
    """

    REAL = "real"
    BINARY = "binary"
    CATEGORY = "category"


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel of sequences, or a column of vectors.

    Models, artifacts and goldens hold `(value - mean) / scale`, which is 1 apart where the value of a sensor is `scale`
    apart; commands that read and write a user's data convert.

    Attributes:
        name: Of the column or channel; empty where the data have no names.
        kind: What its values are.
        mean: Of the training data, in their unit.
        scale: Standard deviation of the training data, in their unit.
        noise_scale: The standard deviation of p(x|z), in units of the model; of a Student's t its scale. None where the
            likelihood has no such parameter, or it is unknown.
        categories: Their names, in the order of the model's values; empty for the other kinds.

    Raises:
        SpecError: a scale is not positive, a category is missing or named twice, or a kind has what only others have.
    """

    __pydantic_config__ = STRICT
    name: str = ""
    kind: ChannelKind = ChannelKind.REAL
    mean: float = 0.0
    scale: float = 1.0
    noise_scale: float | None = None
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.scale) and self.scale > 0):
            raise SpecError(
                f"channel {self.name!r} must have a finite mean and a positive scale, got {self.mean} and {self.scale}"
            )
        if self.noise_scale is not None and not (math.isfinite(self.noise_scale) and self.noise_scale > 0):
            raise SpecError(f"channel {self.name!r} must have a positive noise_scale, got {self.noise_scale}")
        is_category = self.kind is ChannelKind.CATEGORY
        if is_category != bool(self.categories) or len(set(self.categories)) != len(self.categories):
            raise SpecError(
                f"channel {self.name!r} of kind {self.kind} must have "
                f"{'different categories' if is_category else 'no categories'}, got {list(self.categories)}"
            )
        if self.kind is not ChannelKind.REAL and (self.mean, self.scale, self.noise_scale) != (0.0, 1.0, None):
            raise SpecError(f"channel {self.name!r} of kind {self.kind} must not be normalized and has no noise_scale")

    @property
    def width(self) -> int:
        """Number of values of the model that it takes."""
        return len(self.categories) or 1


class ConditionKind(enum.StrEnum):
    """What a condition is: LABEL, a class by its number, `[N] int32`, or CONTINUOUS, real numbers `[N, ...]`."""

    LABEL = "label"
    CONTINUOUS = "continuous"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What encoder and decoder take beside data and latent.

    Attributes:
        name: Name of the input.
        kind: What it is.
        count: Of classes; 0 for a continuous one.
        shape: Of a continuous one without the batch; `()` for a label.
        range: The lowest and highest value of a continuous one, which calibration and goldens draw from.
        encoded: Whether the encoder takes it too: q(z|x, condition), else q(z|x).

    Raises:
        SpecError: a size is not positive, or the range is empty.
    """

    __pydantic_config__ = STRICT
    name: str = "label"
    kind: ConditionKind = ConditionKind.LABEL
    count: int = 0
    shape: tuple[int, ...] = ()
    range: tuple[float, float] = (0.0, 1.0)
    encoded: bool = True

    def __post_init__(self) -> None:
        if self.is_label and self.count < 1:
            raise SpecError(f"a label must have at least 1 class, got {self.count}")
        if not self.is_label and (not self.shape or min(self.shape) < 1):
            raise SpecError(f"a continuous condition must be positive in every dimension, got {list(self.shape)}")
        if self.range[0] >= self.range[1]:
            raise SpecError(f"the range of a condition must be (low, high), got {self.range}")

    @property
    def is_label(self) -> bool:
        """Whether it is the number of a class."""
        return self.kind is ConditionKind.LABEL

    @property
    def tensor(self) -> TensorSpec:
        """The input of an artifact."""
        return TensorSpec(name=self.name, dtype="int32" if self.is_label else "float32", shape=(1, *self.shape))

    @property
    def values(self) -> str:
        """What it takes in words."""
        if self.is_label:
            return f"class number, 0 to {self.count - 1}"
        return f"{math.prod(self.shape)} real numbers, tested from {self.range[0]:g} to {self.range[1]:g}"


def class_label(count: int) -> tuple[Condition, ...]:
    """Returns the conditions of a VAE with one label of `count` classes; none for 0."""
    return (Condition(count=count),) if count else ()


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """A log-mel spectrogram: frames of a Hann window, the power of their spectrum in bands, in decibels.

    Bands are triangles whose corners are evenly spaced on the mel scale of O'Shaughnessy (1987), each 1 at its centre.
    0 dB is about a sine of full scale.

    Attributes:
        rate_hz: Samples in a second.
        samples: T, of one item.
        frame: Samples of a frame.
        hop: Samples from the beginning of a frame to that of the next.
        bands: Number of bands.
        low_hz: Where the first band begins.
        high_hz: Where the last band ends.
        floor: Added to the power of a band.

    Raises:
        SpecError: a number is out of range, frames do not fill the item, or a band holds no frequency of a frame.
    """

    __pydantic_config__ = STRICT
    rate_hz: float
    samples: int
    frame: int
    hop: int
    bands: int
    low_hz: float
    high_hz: float
    floor: float = FLOOR

    def __post_init__(self) -> None:
        check_frames(self.samples, self.frame, self.hop)
        if not 0 <= self.low_hz < self.high_hz <= self.rate_hz / 2:
            raise SpecError(
                f"bands must lie between 0 and half the rate, {self.rate_hz / 2:g} Hz, got {self.low_hz:g} to "
                f"{self.high_hz:g}"
            )
        if self.bands < 1 or not self.floor > 0:
            raise SpecError(
                f"a front end must have at least 1 band and a positive floor, got {self.bands}, {self.floor}"
            )
        corners, apart = self.corners_hz, self.rate_hz / self.frame
        for low, high in zip(corners, corners[2:], strict=False):
            if (math.floor(low / apart) + 1) * apart >= high:
                raise SpecError(
                    f"every band must hold a frequency of a frame, which are {apart:.4g} Hz apart, but one of "
                    f"{self.bands} reaches from {low:.0f} to {high:.0f} Hz: lower mel_bands, or raise frame"
                )

    @property
    def frames(self) -> int:
        """F, the number of frames of an item."""
        return (self.samples - self.frame) // self.hop + 1

    @property
    def corners_hz(self) -> tuple[float, ...]:
        """`bands + 2` of them: where the triangles begin, peak and end; each begins where the last one peaks."""
        low, high = _mel(self.low_hz), _mel(self.high_hz)
        return tuple(_hz(low + (high - low) * index / (self.bands + 1)) for index in range(self.bands + 2))

    @property
    def names(self) -> tuple[str, ...]:
        """The bands by their centres."""
        return tuple(f"{centre:.0f} Hz" for centre in self.corners_hz[1:-1])

    @property
    def description(self) -> str:
        """What it is in words."""
        return (
            f"{self.samples} samples at {self.rate_hz:g} Hz, in {self.bands} log-mel bands from {self.low_hz:g} to "
            f"{self.high_hz:g} Hz"
        )


def check_frames(samples: int, frame: int, hop: int) -> None:
    """Checks that frames fill an item: no sample is left out, and frames begin at whole hops.

    Raises:
        SpecError: they do not.
    """
    if hop < 1 or frame < hop or frame % hop:
        raise SpecError(f"frame must be a multiple of hop, got {frame} and {hop}")
    if samples < frame or samples % hop:
        below = max(frame, samples // hop * hop)
        raise SpecError(
            f"window must be at least a frame of {frame} and a multiple of the hop of {hop}, got {samples}: the next "
            f"ones are {below} and {below + hop}"
        )


def _mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _hz(mel: float) -> float:
    return float(700 * (10 ** (mel / 2595) - 1))
