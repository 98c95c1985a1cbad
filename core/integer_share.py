"""How much of an exported file computes in integers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from pocketvae.layer_precision import short_layer_name
from pocketvae.spec import STRICT

_MOST_NAMES = 6


@dataclass(frozen=True, kw_only=True)
class Computation:
    """One operator that computes.

    Attributes:
        name: Of its output (TFLite) or of the node (ONNX).
        in_integers: Whether all that it reads and writes are integers.
        multiply_adds: For one sample; None where it is not a convolution, a dense layer or a matrix product, 0 where
            the file does not state its shapes.
    """

    name: str
    in_integers: bool
    multiply_adds: int | None = None


@dataclass(frozen=True, kw_only=True)
class IntegerShare:
    """How much of an exported file computes in integers, as its tensors are typed.

    An operator computes in integers if all that it reads and writes are integers. What converts between integers and
    floats is not counted. TFLite's dynamic range operators read floats and round them inside, so they count as float.

    Attributes:
        operators: Number of operators that compute.
        integer_operators: Those of them that compute in integers.
        multiply_adds: Multiplications of convolutions, dense layers and matrix products for one sample.
        integer_multiply_adds: Those of them in integers.
        float_layers: Convolutions, dense layers and matrix products in floating point, in graph order.
    """

    __pydantic_config__ = STRICT
    operators: int
    integer_operators: int
    multiply_adds: int
    integer_multiply_adds: int
    float_layers: tuple[str, ...] = ()

    @classmethod
    def of(cls, computations: Iterable[Computation]) -> Self:
        """Returns the sums over operators."""
        found = list(computations)
        layers = [(item, item.multiply_adds) for item in found if item.multiply_adds is not None]
        return cls(
            operators=len(found),
            integer_operators=sum(item.in_integers for item in found),
            multiply_adds=sum(count for _, count in layers),
            integer_multiply_adds=sum(count for item, count in layers if item.in_integers),
            float_layers=tuple(item.name for item, _ in layers if not item.in_integers),
        )

    @property
    def is_whole(self) -> bool:
        """Whether every convolution, dense layer and matrix product computes in integers."""
        return not self.float_layers

    def describe(self) -> str:
        """Returns it as text: `57% of 4,100,000 multiply-adds and 9 of 14 operators`, these alone if none multiply."""
        operators = f"{self.integer_operators} of {self.operators} operators"
        if not self.multiply_adds:
            return operators
        return f"{self.percent} of {self.multiply_adds:,} multiply-adds and {operators}"

    @property
    def whole_percent(self) -> int:
        """Share of the multiply-adds in integers, of the operators where nothing is multiplied.

        In percent, rounded down: 100 only if nothing is in float.
        """
        if self.multiply_adds:
            return 100 * self.integer_multiply_adds // self.multiply_adds
        return 100 * self.integer_operators // self.operators if self.operators else 100

    @property
    def percent(self) -> str:
        """The same as text: `57%`."""
        return f"{self.whole_percent}%"

    @property
    def counts(self) -> str:
        """Operators in integers and all: `9/14`."""
        return f"{self.integer_operators}/{self.operators}"

    def float_names(self) -> str:
        """Returns the layers in float by their short names, the first few of them."""
        names = list(dict.fromkeys(short_layer_name(name) for name in self.float_layers))
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return ", ".join(names[:_MOST_NAMES]) + more
