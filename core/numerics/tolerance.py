"""The largest deviation from the original that counts as equal, and how much of it an error takes."""

from __future__ import annotations

import math
from collections.abc import Iterable
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


def error_ratio(error: float, limit: float) -> float:
    """Returns the ratio of an error to its limit, at most 1 if it holds; infinite for any error if the limit is 0."""
    if limit > 0:
        return error / limit
    return 0.0 if error == 0 else math.inf


def largest_error_ratio(pairs: Iterable[tuple[float, float]]) -> float:
    """Returns the largest ratio of an error to its limit among pairs of both; 0 without any, infinite with a NaN."""
    ratios = [error_ratio(error, limit) for error, limit in pairs]
    # max() of a list with NaN depends on its order; a NaN must never look like a pass.
    return math.inf if any(map(math.isnan, ratios)) else max(ratios, default=0.0)
