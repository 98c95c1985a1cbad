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
