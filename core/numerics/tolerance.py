"""The largest deviation from the original that counts as equal."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.spec import STRICT


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The largest deviation from the original that counts as equal.

    Attributes:
        output: Name of the output tensor.
        metric: Name of the metric, for example `max_abs` or `p99_abs`.
        limit: Largest value that passes.
        source: Where the number comes from, as text.
    """

    __pydantic_config__ = STRICT
    output: str
    metric: str
    limit: float
    source: str
