"""How well a score separates anomalies from normal images: the ROC curve and the area under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from pocketvae.apps.anomaly.features import Doubles

_Name = TypeVar("_Name", bound=str)
_SIZE, _MARGIN = 360, 48
_COLOURS = ("#2563eb", "#dc2626", "#059669", "#9333ea")


def auroc(normal: Doubles, anomalous: Doubles) -> float:
    """Returns the probability that an anomaly scores higher than a normal image, ties counting half.

    Args:
        normal: `[N]` scores.
        anomalous: `[M]` scores.
    """
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, anomalous, side="left")
    not_above = np.searchsorted(ordered, anomalous, side="right")
    return float((below + not_above).mean() / (2 * len(normal)))


def roc_curve(normal: Doubles, anomalous: Doubles) -> tuple[Doubles, Doubles]:
    """Returns false-positive and true-positive rates at every threshold, from (0, 0) to (1, 1)."""
    thresholds = np.unique(np.concatenate([normal, anomalous]))[::-1]
    rates = [
        np.searchsorted(np.sort(-values), -thresholds, side="right") / len(values) for values in (normal, anomalous)
    ]
    zero = np.zeros(1)
    return np.concatenate([zero, rates[0]]), np.concatenate([zero, rates[1]])


def roc_svg(normal: Mapping[_Name, Doubles], anomalous: Mapping[_Name, Doubles]) -> str:
    """Draws one curve for each score, with its area, as a self-contained SVG."""
    total = _SIZE + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {total}" width="{total}" height="{total}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{total}" height="{total}" fill="#fff"/>',
        f'<rect x="{_MARGIN}" y="{_MARGIN}" width="{_SIZE}" height="{_SIZE}" fill="none" stroke="#94a3b8"/>',
        f'<path d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}" stroke="#cbd5e1" stroke-dasharray="4 4"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        parts.append(f'<text x="{_x(share)}" y="{_y(0) + 18}" text-anchor="middle">{share:g}</text>')
        parts.append(f'<text x="{_MARGIN - 8}" y="{_y(share) + 4}" text-anchor="end">{share:g}</text>')
    middle = _MARGIN + _SIZE / 2
    parts.append(f'<text x="{middle}" y="{total - 10}" text-anchor="middle">normal images above the threshold</text>')
    parts.append(
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
        "anomalies above the threshold</text>"
    )
    for index, name in enumerate(normal):
        colour = _COLOURS[index % len(_COLOURS)]
        parts.append(_curve(normal[name], anomalous[name], colour))
        top = _y(0) - 14 - 18 * (len(normal) - 1 - index)
        area = auroc(normal[name], anomalous[name])
        parts.append(
            f'<text x="{_x(1) - 8}" y="{top}" text-anchor="end" fill="{colour}">{name}: AUROC {area:.4f}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _curve(normal: Doubles, anomalous: Doubles, colour: str) -> str:
    false_positive, true_positive = roc_curve(normal, anomalous)
    # A curve of 20,000 thresholds has far more corners than pixels, so it is thinned out.
    kept = np.unique(np.round(np.stack([false_positive, true_positive], axis=1) * _SIZE * 2), axis=0) / (_SIZE * 2)
    points = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in kept)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _x(share: float) -> float:
    return _MARGIN + share * _SIZE


def _y(share: float) -> float:
    return _MARGIN + (1 - share) * _SIZE
