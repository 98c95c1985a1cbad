"""Devices that are not like the others of their model, by a rule that a few of them cannot bend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

from pocketvae.benchmarks.devices import Outlier

FEWEST_DEVICES = 6
LARGEST_SCORE = 5.0
# What makes a median absolute deviation the standard deviation of a normal distribution.
_TO_SIGMA = 1.4826
# However alike the others are, a difference of less than five times this is of no use to know.
_LEAST_SIGMA = 0.02
RULE = (
    f"an outlier is a device whose modified z-score is above {LARGEST_SCORE:g}: the distance of the logarithm of its "
    f"median from the median of its model's, in units of {_TO_SIGMA} times their median absolute deviation (Iglewicz "
    f"and Hoaglin 1993), at least {_LEAST_SIGMA:.0%}; of fewer than {FEWEST_DEVICES} devices none is named"
)


def outliers_of(medians_s: Mapping[str, float]) -> tuple[Outlier, ...]:
    """Returns the outliers among the devices of one model, the farthest first; see `RULE`.

    Args:
        medians_s: Seconds per call by device.
    """
    if len(medians_s) < FEWEST_DEVICES:
        return ()
    logs = {device: math.log(value) for device, value in medians_s.items()}
    middle = median(logs.values())
    distances = {device: value - middle for device, value in logs.items()}
    sigma = max(_TO_SIGMA * median(map(abs, distances.values())), _LEAST_SIGMA)
    found = [
        Outlier(device=device, median_s=medians_s[device], ratio=math.exp(distance), score=distance / sigma)
        for device, distance in distances.items()
        if abs(distance) > LARGEST_SCORE * sigma
    ]
    return tuple(sorted(found, key=lambda item: -abs(item.score)))
