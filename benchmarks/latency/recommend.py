"""Which artifact to embed, and why: parity first, then the limits, then what nobody can see, then size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pocketvae.benchmarks.latency.results import BenchResult, BenchRow, Recommendation, Rejection
from pocketvae.benchmarks.results import Check, VerifyResult
from pocketvae.benchmarks.tables import format_us
from pocketvae.errors import SpecError
from pocketvae.spec import Component

# Deviations that make no difference: half a grey step of 1/255, a hundredth of a nat.
_INVISIBLE_IMAGE, _INVISIBLE_NATS = 0.5 / 255, 0.01


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the app can afford.

    Attributes:
        component: What is to be embedded.
        target_s: Longest time of nine calls in ten; None for any.
        max_bytes: Largest file; None for any.

    Raises:
        SpecError: a limit is not above 0.
    """

    component: Component = Component.DECODER
    target_s: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.target_s is not None and not (math.isfinite(self.target_s) and self.target_s > 0):
            raise SpecError(f"--target-ms must be above 0, got {self.target_s * 1e3:g}")
        if self.max_bytes is not None and self.max_bytes <= 0:
            raise SpecError(f"--max-kb must be above 0, got {self.max_bytes / 1e3:g}")


def recommend(bench: BenchResult, verify: VerifyResult, wish: Wish) -> Recommendation:
    """Returns the artifact to embed.

    An artifact that fails parity, or was not verified, is never recommended. Of those that fit, deviations that nobody
    sees count as equal; the smallest deviation wins, then the smallest file, then the fastest.
    """
    rows = [row for row in bench.results if row.component == wish.component and not row.is_original and row.batch == 1]
    rows = [row for row in rows if row.threads == rows[0].threads]
    rejected, fitting = [], []
    for row in rows:
        reason = _against(row, verify, wish)
        if reason:
            rejected.append(Rejection(artifact=row.artifact, reason=reason))
        else:
            fitting.append(row)
    if not fitting:
        return Recommendation(artifact=None, why=_nothing(wish, len(rows)), rejected=tuple(rejected))
    best = min(fitting, key=lambda row: (_visible(row, verify), row.size_bytes, row.median_s))
    return Recommendation(artifact=best.artifact, why=_why(best, fitting, verify, wish), rejected=tuple(rejected))


def slowest_p90_s(row: BenchRow) -> float:
    """Returns the time of nine calls in ten, at that pace at which it is longest."""
    return max(row.p90_s, *(paced.p90_s for paced in row.paced), 0.0)


def _against(row: BenchRow, verify: VerifyResult, wish: Wish) -> str:
    checks = _checks(row, verify)
    if not checks:
        return "it was not verified"
    failed = [check for check in checks if not check.passed]
    if failed:
        return f"it fails parity: {failed[0].output} {failed[0].metric} {failed[0].detail}".replace("  ", " ")
    if wish.max_bytes is not None and row.size_bytes > wish.max_bytes:
        return f"its {row.size_bytes / 1e3:.0f} kB are more than {wish.max_bytes / 1e3:.0f} kB"
    if wish.target_s is not None and slowest_p90_s(row) > wish.target_s:
        return (
            f"one call in ten takes {slowest_p90_s(row) * 1e3:.3g} ms or more, the target is {wish.target_s * 1e3:g} ms"
        )
    return ""


def _checks(row: BenchRow, verify: VerifyResult) -> list[Check]:
    return [check for check in verify.checks if check.artifact == row.artifact]


def _deviation(row: BenchRow, verify: VerifyResult) -> tuple[float, bool]:
    """Returns the largest deviation of the artifact, and whether it is one of images."""
    measured = [check for check in _checks(row, verify) if check.value is not None]
    largest = max((check.value or 0.0 for check in measured), default=0.0)
    return largest, any(check.output == "image" for check in measured)


def _visible(row: BenchRow, verify: VerifyResult) -> float:
    value, is_image = _deviation(row, verify)
    return 0.0 if value <= (_INVISIBLE_IMAGE if is_image else _INVISIBLE_NATS) else value


def _why(best: BenchRow, fitting: Sequence[BenchRow], verify: VerifyResult, wish: Wish) -> str:
    value, is_image = _deviation(best, verify)
    unit = f"{value * 255:.2g} of 255 grey steps" if is_image else f"{value:.2g} nats"
    seen = "which nobody sees" if _visible(best, verify) == 0 else "the smallest of those that fit"
    pace = " at its slowest pace" if best.paced else ""
    facts = [
        "it passes every parity check",
        f"deviates by {unit} at most, {seen}",
        f"has {best.size_bytes / 1e3:.0f} kB{_of(wish.max_bytes, 1e3, 'kB')}",
        f"and nine calls in ten take {format_us(slowest_p90_s(best))} us{_of(wish.target_s, 1e-3, 'ms')}{pace}",
    ]
    others = len(fitting) - 1
    rest = f"; {others} more would fit" if others else "; nothing else fits"
    return ", ".join(facts) + rest


def _of(limit: float | None, unit: float, name: str) -> str:
    return "" if limit is None else f" (of {limit / unit:g} {name})"


def _nothing(wish: Wish, count: int) -> str:
    return f"none of the {count} {wish.component} artifacts that were timed passes parity within the limits"
