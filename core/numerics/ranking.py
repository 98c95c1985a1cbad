"""How well scores separate anomalies from normal items."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def auroc(normal: npt.NDArray[Any], anomalous: npt.NDArray[Any]) -> float:
    """Returns the probability that an anomaly scores higher than a normal item, ties counting half.

    Args:
        normal: `[N]` scores.
        anomalous: `[M]` scores.
    """
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, anomalous, side="left")
    not_above = np.searchsorted(ordered, anomalous, side="right")
    return float((below + not_above).mean() / (2 * len(normal)))


def confused_pairs(exact: npt.NDArray[Any], found: npt.NDArray[Any], anomalous: npt.NDArray[np.bool_]) -> float:
    """Returns the share of pairs of a normal item and an anomaly that other scores put in another order.

    Unlike a change of the area under the ROC curve, in which such pairs can cancel each other.

    Args:
        exact: `[N]` scores.
        found: `[N]`, the other scores of the same items.
        anomalous: `[N]`, which of them are anomalies.
    """
    first, second = (values[anomalous][:, None] > values[~anomalous][None] for values in (exact, found))
    return float((first != second).mean())
