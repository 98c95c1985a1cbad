"""The fields of what a VAE takes: the channels of data that are not images, and conditions."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.spec import STRICT, TensorSpec


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
