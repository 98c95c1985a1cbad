"""The artifact to ship to a chip: of those that it takes whole within limits, the fastest, or else the smallest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pocketvae.reporting.text import format_us

# Times that differ by less than this count as equal.
_SAME_TIME = 1.1


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One artifact that runs on a target within its limits.

    Attributes:
        artifact: File name.
        size_bytes: Of the file.
        deviation: How far it is from what it is compared with, as text.
        npu_share: The share of its operators that an NPU takes; None where there is no NPU.
        cpu_operators: Operators that stay on a CPU beside an NPU, those of a float interface left out; None where it
            is not known apart from the share.
        time_s: Of one call there; None where it is unknown.
        is_estimate: Whether the time is a compiler's estimate and was not measured.
    """

    artifact: str
    size_bytes: int
    deviation: str
    npu_share: float | None
    time_s: float | None
    is_estimate: bool
    cpu_operators: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it stays on a CPU beside an NPU, but for a float interface, as `export --for` has it."""
        return self.npu_share is None or self.npu_share >= 1 or self.cpu_operators == 0

    @property
    def on_npu(self) -> str:
        """How an NPU takes it, as text; empty where there is none."""
        if self.npu_share is None:
            return ""
        return "runs on the NPU as a whole" if self.npu_share >= 1 else "runs on the NPU but for its float interface"

    @property
    def time(self) -> str:
        """The time as text, marked as measured or estimated."""
        if self.time_s is None:
            return "unknown"
        return f"{format_us(self.time_s)} µs {'estimated' if self.is_estimate else 'measured'}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to ship.

    Attributes:
        candidate: The artifact; None if none qualifies.
        why: Two short sentences.
    """

    candidate: Candidate | None
    why: str


def choose(candidates: Sequence[Candidate]) -> Choice:
    """Returns what to ship of the artifacts of one component that run within their limits."""
    whole = [item for item in candidates if item.is_whole]
    if not whole:
        return Choice(candidate=None, why=_nothing(candidates))
    is_timed = all(item.time_s is not None for item in whole)
    best = _fastest(whole) if is_timed else _smallest(whole)
    facts = [
        f"It is within its limits ({best.deviation})",
        f"has {best.size_bytes / 1e3:.0f} kB",
        best.on_npu,
        f"takes {best.time}" if best.time_s is not None else "",
    ]
    text = ", ".join(fact for fact in facts if fact)
    return Choice(candidate=best, why=f"{text}. {_against(best, whole, is_timed=is_timed)}")


def _fastest(candidates: Sequence[Candidate]) -> Candidate:
    times = {item.artifact: item.time_s for item in candidates if item.time_s is not None}
    least = min(times.values())
    return min(
        (item for item in candidates if times[item.artifact] <= _SAME_TIME * least), key=lambda item: item.size_bytes
    )


def _smallest(candidates: Sequence[Candidate]) -> Candidate:
    return min(candidates, key=lambda item: item.size_bytes)


def _against(best: Candidate, candidates: Sequence[Candidate], *, is_timed: bool) -> str:
    if len(candidates) == 1:
        return "No other file qualifies."
    count = len(candidates)
    if not is_timed:
        return f"It is the smallest of the {count} that qualify; times there are unknown."
    if any((item.time_s or 0.0) < (best.time_s or 0.0) for item in candidates):
        return f"It is the smallest of those within 10 % of the fastest; {count} qualify."
    return f"It is the fastest of the {count} that qualify."


def _nothing(candidates: Sequence[Candidate]) -> str:
    if not candidates:
        return "No file runs within its limits."
    most = max(candidates, key=lambda item: item.npu_share or 0.0)
    return (
        f"No file runs on the NPU as a whole: of {most.artifact} it takes {most.npu_share or 0:.0%}. Export with --for "
        "this chip."
    )
