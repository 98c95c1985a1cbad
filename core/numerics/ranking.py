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


# Shares of normal items that may be alarms, at which decisions are compared.
_RATES = np.linspace(0.01, 0.2, 20)


def changed_decisions(exact: npt.NDArray[Any], found: npt.NDArray[Any], anomalous: npt.NDArray[np.bool_]) -> float:
    """Returns the share of items that other scores decide otherwise, the mean over normal items and over anomalies.

    It is the mean over many thresholds, of both scores for the same rates of alarms among the normal items: where one
    threshold lies between two of few items is chance.

    Args:
        exact: `[N]` scores.
        found: `[N]`, the other scores of the same items.
        anomalous: `[N]`, which of them are anomalies.
    """
    alarms = [
        values[:, None] > np.quantile(values[~anomalous], 1 - _RATES, method="lower")[None] for values in (exact, found)
    ]
    changed = alarms[0] != alarms[1]
    return float(np.mean([changed[part].mean() for part in (~anomalous, anomalous) if part.any()]))
