"""What a decoder returns beside its data: outputs with a kind, a meaning, a unit and a range each."""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.fields import DataKind
from pocketvae.spec import STRICT, TensorSpec


class Meaning(enum.StrEnum):
    """What the values of an output are.

    VALUES: data of their own, such as the same image at another scale. LOG_VAR, VAR, STD and LOG_STD: the noise of
    p(x|z) about the first output, as a log-variance, a variance, a standard deviation or its logarithm. LOGITS and
    PROBABILITIES: of classes. Artifacts return all of them as the original does.
    """

    VALUES = "values"
    LOG_VAR = "log_var"
    VAR = "var"
    STD = "std"
    LOG_STD = "log_std"
    LOGITS = "logits"
    PROBABILITIES = "probabilities"

    @property
    def is_noise(self) -> bool:
        """Whether it is the noise of p(x|z)."""
        return self in _WORDS

    @property
    def words(self) -> str:
        """What it is, in words; empty of values."""
        return _WORDS.get(self) or {Meaning.LOGITS: "logits of classes"}.get(self, "")


_WORDS = {
    Meaning.LOG_VAR: "logarithm of the variance",
    Meaning.VAR: "variance",
    Meaning.STD: "standard deviation",
    Meaning.LOG_STD: "logarithm of the standard deviation",
}
# The standard deviation changes by half of what the log-variance does: less than this range would ask for a share of
# the noise that nobody could tell from none.
_LEAST_SPAN = {Meaning.LOG_VAR: 2.0, Meaning.LOG_STD: 1.0}


@dataclass(frozen=True, kw_only=True)
class Output:
    """One output of a decoder.

    Attributes:
        name: Of the tensor in every artifact.
        data: The kind of data that its shape is like.
        shape: Without the batch; `()` of one number an item.
        meaning: What its values are.
        data_range: The lowest and highest value, of samples of the prior where no operator bounds them.
        range_is_strict: Whether a value outside `data_range` fails.

    Raises:
        SpecError: the name is no identifier, a dimension is not positive, or the range is empty.
    """

    __pydantic_config__ = STRICT
    name: str
    data: DataKind
    shape: tuple[int, ...]
    meaning: Meaning = Meaning.VALUES
    data_range: tuple[float, float] = (0.0, 1.0)
    range_is_strict: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_]\w*", self.name, re.ASCII):
            raise SpecError(f"an output's name must be of letters, digits and _, got {self.name!r}")
        if any(size < 1 for size in self.shape):
            raise SpecError(f"the output {self.name} must be positive in every dimension, got {list(self.shape)}")
        if not self.data_range[0] < self.data_range[1]:
            raise SpecError(f"the range of {self.name} must be (low, high), got {self.data_range}")

    @property
    def tensor(self) -> TensorSpec:
        """The output of an artifact."""
        return TensorSpec(name=self.name, dtype="float32", shape=(1, *self.shape))

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def span(self) -> float:
        """What deviations are shares of, 255 steps: its range; of logarithms of noise at least a factor of e in it."""
        return max(self.data_range[1] - self.data_range[0], _LEAST_SPAN.get(self.meaning, 0.0))

    @property
    def is_picture(self) -> bool:
        """Whether it is an image, whose deviations are grey steps."""
        return self.data is DataKind.IMAGE and self.meaning is Meaning.VALUES
