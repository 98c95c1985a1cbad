"""How well a score separates anomalies from normal images: the ROC curve and the area under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pocketvae.apps.anomaly.features import Doubles
from pocketvae.apps.anomaly.separation import counts_of, rates_of
from pocketvae.numerics.ranking import auroc as auroc
from pocketvae.reporting.charts import Curve, unit_square_chart

_Name = TypeVar("_Name", bound=str)


def roc_curve(normal: Doubles, anomalous: Doubles) -> tuple[Doubles, Doubles]:
    """Returns false-positive and true-positive rates at every threshold, from (0, 0) to (1, 1)."""
    return rates_of(counts_of(normal, anomalous))


def roc_svg(normal: Mapping[_Name, Doubles], anomalous: Mapping[_Name, Doubles], plural: str = "images") -> str:
    """Draws one curve for each score, with its area, as a self-contained SVG.

    Args:
        normal: `[N]` scores by name.
        anomalous: `[M]` scores by name.
        plural: What was scored.
    """
    curves = [
        Curve(label=f"{name}: AUROC {auroc(normal[name], anomalous[name]):.4f}", points=points)
        for name, points in ((name, roc_curve(normal[name], anomalous[name])) for name in normal)
    ]
    return unit_square_chart(
        curves, x_label=f"normal {plural} above the threshold", y_label="anomalies above the threshold"
    )
