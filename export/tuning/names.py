"""What tuning changes, by name, and the mark of what it adds in floating point."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.spec import STRICT

# Logits beyond this are sigmoid(9) = 0.99988: clipping them there moves a probability by 0.00012 at the most, 1/30 of
# a pixel step, and leaves the 256 integer levels to the range in which pixels differ.
LOGIT_BOUND = 9.0
# In the names of tensors and nodes; quantizers leave them in float.
FLOAT_SCOPE = "pocketvae_float"


class Head(enum.StrEnum):
    """What follows a sum of parts: a head that bends values, or NONE that does."""

    NONE = "whole"
    SIGMOID = "whole_logits"
    TANH = "whole_before_tanh"


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The changes of one network.

    Attributes:
        exponent: Channels whose largest value is `r` are scaled by `(R / r) ** exponent`, where R is that of the
            largest channel; 0 leaves them as they are, 1 makes them equal.
        latent_parts: Whether a latent is given to the first layer as a coarse and a fine part of 8 bits each.
        output_parts: Number of parts, each in 8 bits, that the range before the head is divided into.
        sum_parts: The same for the range of each term of a residual sum that the last layer reads; above 1, that layer
            is given the sum as a coarse and a fine part.

    Raises:
        SpecError: a value is out of range.
    """

    __pydantic_config__ = STRICT
    exponent: float = 0.0
    latent_parts: bool = False
    output_parts: int = 1
    sum_parts: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.exponent <= 1:
            raise SpecError(f"the exponent of equalized channels must be 0 to 1, got {self.exponent:g}")
        if not 1 <= self.output_parts <= 8:
            raise SpecError(f"an output must have 1 to 8 parts, got {self.output_parts}")
        if not 1 <= self.sum_parts <= 8:
            raise SpecError(f"the terms of a sum must have 1 to 8 parts, got {self.sum_parts}")


def is_float_part(name: str) -> bool:
    """Whether a tensor or node was added by tuning to be computed in float, whatever it was fused with."""
    return FLOAT_SCOPE in name.split(";")[0]


def head_of_sum(name: str) -> Head:
    """Returns what follows a sum of parts, by the name of its tensor or node."""
    last = name.split(";")[0].split("/")[-1].split(":")[0]
    # TensorFlow numbers what is added twice, as in `whole_1`.
    return next((head for head in (Head.SIGMOID, Head.TANH) if last.startswith(head)), Head.NONE)
