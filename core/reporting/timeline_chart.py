"""A score over time with its alarms, above the channels that it was computed from, as one self-contained SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_WIDTH, _LEFT, _RIGHT, _TOP = 960, 84, 16, 56
_SCORE_HEIGHT, _CHANNEL_HEIGHT, _GAP, _BOTTOM = 200, 64, 14, 44
# More columns than this cannot be told apart; each shows the least and the largest of what falls into it.
_COLUMNS = 860
_MOST_CHANNELS = 12
_STEPS = (1.0, 2.0, 5.0)
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2937}.title{font-size:14px;font-weight:600}.quiet{fill:#4b5563}"
    ".frame{fill:none;stroke:#9ca3af}.truth{fill:#fde68a}.score{fill:#1d4ed8}.channel{fill:#374151}"
    ".alarm{fill:#b91c1c}.threshold{stroke:#b91c1c;stroke-dasharray:6 4}.part{stroke:#9ca3af;stroke-dasharray:2 3}"
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One channel.

    Attributes:
        label: Its name.
        low: `[N]`, its least value in each window.
        high: `[N]`, its largest one.
    """

    label: str
    low: Values
    high: Values


@dataclass(frozen=True, kw_only=True)
class TimelineChart:
    """What is drawn.

    Attributes:
        title: What it shows.
        score_name: Name of the score.
        scores: `[N]`, one for each window, in the order of time.
        threshold: Above which there is an alarm.
        anomalous: `[N]`, which windows are anomalies; all False where that is not known.
        parts: The number of the first window of each recording but the first.
        step: From one window to the next, in units of the axis.
        unit: Of the axis of time.
        rows: The channels.
    """

    title: str
    score_name: str
    scores: Values
    threshold: float
    anomalous: npt.NDArray[np.bool_]
    parts: Sequence[int]
    step: float
    unit: str
    rows: Sequence[Row]

    def svg(self) -> str:
        """Draws it."""
        shown = self.rows[:_MOST_CHANNELS]
        height = _TOP + _SCORE_HEIGHT + len(shown) * (_GAP + _CHANNEL_HEIGHT) + _BOTTOM
        lowest = height - _BOTTOM
        parts = [*self._head(), *self._truth(lowest), *self._score_panel()]
        for index, row in enumerate(shown):
            parts += self._channel_panel(row, _TOP + _SCORE_HEIGHT + _GAP + index * (_GAP + _CHANNEL_HEIGHT))
        parts += [*self._breaks(lowest), *self._time_axis(lowest, len(self.rows) - len(shown))]
        return (
            f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(self.title)}" '
            f'xmlns="http://www.w3.org/2000/svg"><title>{escape(self.title)}</title><style>{_STYLE}</style>'
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>'
        )

    def _x(self, index: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * index / max(1, len(self.scores))

    def _head(self) -> list[str]:
        above = int((self.scores > self.threshold).sum())
        known = f"; known anomalies in yellow: {int(self.anomalous.sum())}" if self.anomalous.any() else ""
        return [
            f'<text x="{_LEFT}" y="20" class="title">{escape(self.title)}</text>',
            f'<text x="{_LEFT}" y="40" class="quiet">{above} of {len(self.scores)} windows above the threshold, in '
            f"red{known}</text>",
        ]

    def _truth(self, lowest: float) -> list[str]:
        edges = np.diff(np.concatenate([[False], self.anomalous, [False]]).astype(np.int8))
        pairs = zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
        return [
            f'<rect x="{self._x(first):.1f}" y="{_TOP}" width="{max(1.5, self._x(end) - self._x(first)):.1f}" '
            f'height="{lowest - _TOP}" class="truth"/>'
            for first, end in pairs
        ]

    def _score_panel(self) -> list[str]:
        """Draws scores so that the usual ones, the threshold and those far above it can all be told apart."""
        middle = float(np.median(self.scores))
        span = max(self.threshold - middle, abs(self.threshold) * 1e-6, 1e-12)
        with np.errstate(over="ignore"):
            shares = np.arcsinh(np.clip((self.scores - middle) / span, -1e12, 1e12))
        low, high = min(float(shares.min()), 0.0), max(float(shares.max()), 1.5)
        places = _TOP + _SCORE_HEIGHT * (1 - (shares - low) / (high - low))
        threshold_y = _TOP + _SCORE_HEIGHT * (1 - (math.asinh((self.threshold - middle) / span) - low) / (high - low))
        parts = [self._columns(places, places, "score", self.scores <= self.threshold)]
        # Down to the threshold, so that a single window can be seen.
        parts.append(self._columns(places, np.full_like(places, threshold_y), "alarm", self.scores > self.threshold))
        parts.append(
            f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT}" height="{_SCORE_HEIGHT}" class="frame"/>'
        )
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{threshold_y:.1f}" y2="{threshold_y:.1f}" '
            f'class="threshold"/>'
        )
        parts.append(f'<text x="{_LEFT - 8}" y="{threshold_y + 4:.1f}" text-anchor="end">{self.threshold:.4g}</text>')
        parts.append(
            f'<text x="{_LEFT}" y="{_TOP - 4}" class="quiet">score {escape(self.score_name)}, dashed: threshold</text>'
        )
        return [*parts, *self._score_ticks(middle, span, low, high, threshold_y)]

    def _score_ticks(self, middle: float, span: float, low: float, high: float, taken: float) -> list[str]:
        """Labels the usual score and the largest, where they do not cover the threshold's label."""
        parts = []
        for value in (middle, float(self.scores.max())):
            share = math.asinh(min((value - middle) / span, 1e12))
            y = _TOP + _SCORE_HEIGHT * (1 - (share - low) / (high - low))
            if abs(y - taken) > 14:
                parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
        return parts

    def _channel_panel(self, row: Row, top: float) -> list[str]:
        low, high = float(row.low.min()), float(row.high.max())
        span = (high - low) or 1.0
        upper, lower = (top + _CHANNEL_HEIGHT * (1 - (values - low) / span) for values in (row.high, row.low))
        everything = np.ones(len(self.scores), np.bool_)
        return [
            self._columns(upper, lower, "channel", everything),
            f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH - _LEFT - _RIGHT}" height="{_CHANNEL_HEIGHT}" class="frame"/>',
            f'<text x="{_LEFT - 8}" y="{top + 12}" text-anchor="end">{high:.4g}</text>',
            f'<text x="{_LEFT - 8}" y="{top + _CHANNEL_HEIGHT / 2 + 4}" text-anchor="end">'
            f"{escape(row.label[:12])}</text>",
            f'<text x="{_LEFT - 8}" y="{top + _CHANNEL_HEIGHT - 2}" text-anchor="end">{low:.4g}</text>',
        ]

    def _columns(self, upper: Values, lower: Values, kind: str, chosen: npt.NDArray[np.bool_]) -> str:
        """Returns one path of a rectangle for each column that has a chosen window."""
        count = len(self.scores)
        columns = min(count, _COLUMNS)
        bounds = np.linspace(0, count, columns + 1).astype(np.intp)
        pieces = []
        for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            inside = chosen[first:end]
            if not inside.any():
                continue
            top, bottom = upper[first:end][inside].min(), lower[first:end][inside].max()
            left, width = self._x(first), max(1.0, self._x(end) - self._x(first))
            pieces.append(f"M{left:.1f} {top - 0.8:.1f}h{width:.1f}V{bottom + 0.8:.1f}h{-width:.1f}z")
        return f'<path d="{"".join(pieces)}" class="{kind}"/>' if pieces else ""

    def _breaks(self, lowest: float) -> list[str]:
        return [
            f'<line x1="{self._x(first):.1f}" x2="{self._x(first):.1f}" y1="{_TOP}" y2="{lowest}" class="part"/>'
            for first in self.parts
        ]

    def _time_axis(self, lowest: float, left_out: int) -> list[str]:
        total = len(self.scores) * self.step
        tick = next(
            step * 10.0**power
            for power in range(math.floor(math.log10(total)) - 2, math.ceil(math.log10(total)) + 2)
            for step in _STEPS
            if total / (step * 10.0**power) <= 10
        )
        parts = []
        for index in range(int(total / tick) + 1):
            x = self._x(index * tick / self.step)
            parts.append(f'<text x="{x:.1f}" y="{lowest + 16}" text-anchor="middle">{index * tick:g}</text>')
        more = f"; {left_out} more channels are not drawn" if left_out else ""
        borders = "; dotted: the next recording" if self.parts else ""
        label = f"{self.unit} of what was scored{borders}{more}"
        return [*parts, f'<text x="{_LEFT}" y="{lowest + 34}" class="quiet">{escape(label)}</text>']
