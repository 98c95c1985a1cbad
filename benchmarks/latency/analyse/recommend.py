"""Recommendation of the artifact to embed: by parity, limits, visible deviation, size and time, in this order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pocketvae.benchmarks.latency.analyse.deviation import Deviation, deviations
from pocketvae.benchmarks.latency.results import BenchResult, BenchRow, Recommendation, Rejection
from pocketvae.benchmarks.parity.results import Check, VerifyResult
from pocketvae.errors import SpecError
from pocketvae.reporting.text import count_of, format_us
from pocketvae.spec import Component

# Files whose sizes differ by less than this count as equally large.
_SAME_SIZE = 1.05


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """The constraints of the app.

    Attributes:
        component: The component to embed.
        target_s: Largest 90th percentile of latency; None for any.
        max_bytes: Largest file size; None for any.

    Raises:
        SpecError: a limit is not above 0.
    """

    component: Component = Component.DECODER
    target_s: float | None = None
    max_bytes: float | None = None

    def __post_init__(self) -> None:
        if self.target_s is not None and not (math.isfinite(self.target_s) and self.target_s > 0):
            raise SpecError(f"--target-ms must be above 0, got {self.target_s * 1e3:g}")
        if self.max_bytes is not None and not (math.isfinite(self.max_bytes) and self.max_bytes > 0):
            raise SpecError(f"--max-kb must be above 0, got {self.max_bytes / 1e3:g}")


def recommend(bench: BenchResult, verify: VerifyResult, constraints: Constraints) -> Recommendation:
    """Returns the artifact to embed.

    An artifact that fails parity, or was not verified, is never recommended. Of those that meet the constraints, the
    ones closest to the original are kept: invisible deviations count as equal, and so do larger ones between the same
    powers of two, since parity allows all of them. Of these the smallest file wins, or the fastest of those that are
    hardly larger.
    """
    rows = [
        row
        for row in bench.results
        if row.component == constraints.component and not row.is_original and row.batch == 1
    ]
    rows = [row for row in rows if row.threads == rows[0].threads]
    rejected, fitting = [], []
    for row in rows:
        reason = _against(row, verify, constraints)
        if reason:
            rejected.append(Rejection(artifact=row.artifact, reason=reason))
        else:
            fitting.append(row)
    if not fitting:
        return Recommendation(artifact=None, why=_nothing(constraints, len(rows)), rejected=tuple(rejected))
    found = deviations(verify, [row.artifact for row in fitting])
    closest = min(_closeness(row, found) for row in fitting)
    close = [row for row in fitting if _closeness(row, found) == closest]
    smallest = min(row.size_bytes for row in close)
    best = min((row for row in close if row.size_bytes <= _SAME_SIZE * smallest), key=lambda row: row.median_s)
    return Recommendation(
        artifact=best.artifact, why=_why(best, found, len(fitting) - 1, constraints), rejected=tuple(rejected)
    )


def slowest_p90_s(row: BenchRow) -> float:
    """Returns the 90th percentile of latency at the pace at which it is largest."""
    return max(row.p90_s, *(paced.p90_s for paced in row.paced), 0.0)


def _against(row: BenchRow, verify: VerifyResult, constraints: Constraints) -> str:
    checks = _checks(row, verify)
    if not checks:
        return "it was not verified"
    failed = [check for check in checks if not check.passed]
    if failed:
        return f"it fails parity: {failed[0].output} {failed[0].metric} {failed[0].detail}".replace("  ", " ")
    if constraints.max_bytes is not None and row.size_bytes > constraints.max_bytes:
        return f"its {row.size_bytes / 1e3:.0f} kB are more than {constraints.max_bytes / 1e3:g} kB"
    if constraints.target_s is not None and slowest_p90_s(row) > constraints.target_s:
        slowest, target = slowest_p90_s(row) * 1e3, constraints.target_s * 1e3
        return f"one call in ten takes {slowest:.3g} ms or more, but the target is {target:g} ms"
    return ""


def _checks(row: BenchRow, verify: VerifyResult) -> list[Check]:
    return [check for check in verify.checks if check.artifact == row.artifact]


def _closeness(row: BenchRow, found: Mapping[str, Deviation]) -> float:
    """Returns the closeness of the artifact; infinite if nothing is known except that it passes."""
    return found[row.artifact].closeness if row.artifact in found else math.inf


def _why(best: BenchRow, found: Mapping[str, Deviation], others: int, constraints: Constraints) -> str:
    """Returns two short sentences: what it costs, and how far it is from the original."""
    pace = " at its slowest pace" if best.paced else ""
    size = f"{best.size_bytes / 1e3:.0f} kB{_of(constraints.max_bytes, 1e3, 'kB')}"
    time = f"{format_us(slowest_p90_s(best))} µs{_of(constraints.target_s, 1e-3, 'ms')}{pace}"
    rest = f"{count_of(others, 'other file')} would do too" if others else "no other file would do"
    return f"{size}, nine calls in ten within {time}. It passes every check{_seen(found.get(best.artifact))}; {rest}."


def _seen(deviation: Deviation | None) -> str:
    if deviation is None:
        return ""
    rest = "nobody sees that" if deviation.closeness == 0 else "none that would do is closer by half of it"
    return f" and deviates by {deviation.text} ({rest})"


def _of(limit: float | None, unit: float, name: str) -> str:
    return "" if limit is None else f" (of {limit / unit:g} {name})"


def _nothing(constraints: Constraints, count: int) -> str:
    return f"none of the {count} {constraints.component} artifacts that were timed passes parity and meets the limits"
