"""The conditions of a VAE: what encoder and decoder take beside data and latent."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.spec import STRICT, TensorSpec


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
