"""The channels of data that are not images: what each value is, and the unit in which a model computes."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.spec import STRICT


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
