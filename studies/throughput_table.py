"""What the rounds of a throughput study come to: medians, deviations and ratios, and a table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_UNSTABLE_MAD_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of some values and their median absolute deviation from it."""

    median: float
    mad: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Returns the spread of at least one value."""
        array = np.asarray(values, np.float64)
        median = float(np.median(array))
        return cls(median=median, mad=float(np.median(np.abs(array - median))))


@dataclass(frozen=True, kw_only=True)
class Row:
    """Statistics of one contender.

    Attributes:
        values_images_per_s: Of every round.
        images_per_s: Their spread.
        ratios: By baseline: the speed relative to the baseline's in the same round.
        warnings: Why the figures are not to be trusted.
    """

    contender: str
    values_images_per_s: tuple[float, ...]
    images_per_s: Spread
    ratios: Mapping[str, Spread]
    warnings: tuple[str, ...]


def summarize(values: Mapping[str, Sequence[float]], baselines: Sequence[str]) -> list[Row]:
    """Returns one row per contender; ratios are taken within rounds, in which all ran one after the other.

    Args:
        values: Images per second of every round, by contender.
        baselines: Contenders that ratios are relative to.

    Raises:
        ValueError: there are no values, or a contender has not as many as another.
    """
    counts = {len(speeds) for speeds in values.values()}
    if len(counts) > 1 or 0 in counts:
        raise ValueError(f"every contender must have the same number of values, at least one, got {sorted(counts)}")
    return [
        _row(name, speeds, {baseline: values[baseline] for baseline in baselines}) for name, speeds in values.items()
    ]


def _row(name: str, speeds: Sequence[float], baselines: Mapping[str, Sequence[float]]) -> Row:
    spread = Spread.of(speeds)
    share = spread.mad / spread.median
    return Row(
        contender=name,
        values_images_per_s=tuple(speeds),
        images_per_s=spread,
        ratios={
            baseline: Spread.of([speed / other for speed, other in zip(speeds, others, strict=True)])
            for baseline, others in baselines.items()
        },
        warnings=(f"unstable: MAD is {share:.0%} of the median",) if share > _UNSTABLE_MAD_SHARE else (),
    )


def format_table(rows: Sequence[Row], batch: int, not_run: Mapping[str, str]) -> str:
    """Returns the rows as a table of text, and below it what did not run, with the reason.

    Args:
        rows: Of `summarize`.
        batch: Images in one step.
        not_run: Contender to reason.
    """
    baselines = list(rows[0].ratios) if rows else []
    headers = [cell for baseline in baselines for cell in (f"x {baseline}", "MAD")]
    lines = [["contender", "images/s", "MAD", "ms/step", *headers, ""]]
    for row in rows:
        speed = row.images_per_s
        cells = [f"{speed.median:.0f}", f"{speed.mad:.0f}", f"{1e3 * batch / speed.median:.2f}"]
        cells += [f"{value:.3f}" for ratio in row.ratios.values() for value in (ratio.median, ratio.mad)]
        lines.append([row.contender, *cells, "; ".join(row.warnings)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for name, *cells, note in lines:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:-1], strict=True)]
        text.append("  ".join([name.ljust(widths[0]), *padded, note]).rstrip())
    return "\n".join([*text, *(f"{name}: not run: {reason}" for name, reason in not_run.items())])
