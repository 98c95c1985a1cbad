"""Verdicts from differences: what was proven, and what this comparison could have proven.

`regressed` needs proof: the lower bound of the slowdown, at a level shared by all artifacts and all looks at the data,
is above the margin. `pass` needs proof too: the upper bound, at 5 percent for an artifact and all looks at it, is below
the margin. Everything else is `inconclusive`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pocketvae.benchmarks.latency.analyse.shift import Shift, paired_shift, pairs_needed, unpaired_shift
from pocketvae.benchmarks.latency.results import ArtifactComparison, Interval, Ratio, Verdict

LEVEL = 0.01
MARGIN = 0.03
# Two results measured at different times differ more than two files that take turns.
RESULTS_MARGIN = 0.1
# How often an artifact that runs side by side with another is judged at most.
LOOKS = 3
_PASS_ALPHA = 0.05
_INSTRUCTIONS_MARGIN = 0.01


def launches_needed(alpha: float) -> int:
    """Returns the smallest number of pairs that `judge_pairs` can judge at this level."""
    return pairs_needed(min(alpha, _PASS_ALPHA / LOOKS))


def judge_pairs(
    artifact: str, threads: int, log_ratios: Sequence[float], *, margin: float, alpha: float
) -> ArtifactComparison:
    """Judges an artifact by pairs of both files that ran side by side, at one of up to `LOOKS` looks.

    Args:
        artifact: File name.
        threads: Threads used by one call.
        log_ratios: The logarithm of new over old for each pair.
        margin: Allowed slowdown.
        alpha: Probability of a false `regressed` for this artifact and this look.
    """
    strict = paired_shift(log_ratios, alpha)
    high = paired_shift(log_ratios, _PASS_ALPHA / LOOKS).high
    return _judged(artifact, threads, strict, high, pairs=len(log_ratios), allowed=math.log1p(margin))


def judge_results(
    artifact: str,
    threads: int,
    before: Sequence[float],
    after: Sequence[float],
    *,
    margin: float,
    alpha: float,
    machine: float,
) -> ArtifactComparison:
    """Judges an artifact by two results that were measured at different times.

    Args:
        artifact: File name.
        threads: Threads used by one call.
        before: Logarithms of the medians of the baseline's rounds.
        after: The same for the new result.
        margin: Allowed slowdown.
        alpha: Of a false `regressed` for this artifact.
        machine: Factor by which the machine itself is slower now; 1 if it is not slower.
    """
    strict = unpaired_shift(before, after, alpha)
    high = unpaired_shift(before, after, _PASS_ALPHA).high
    allowed = math.log1p(margin) + math.log(machine)
    pairs = min(len(before), len(after))
    slower = f"; the machine itself was {machine - 1:.1%} slower" if machine > 1 else ""
    return _judged(artifact, threads, strict, high, pairs=pairs, allowed=allowed, note=slower)


def judge_instructions(artifact: str, before: int, after: int) -> ArtifactComparison:
    """Judges an artifact by its instruction counts, which have practically no noise."""
    ratio = after / before
    verdict = Verdict.REGRESSED if ratio > 1 + _INSTRUCTIONS_MARGIN else Verdict.PASS
    return ArtifactComparison(
        artifact=artifact,
        threads=1,
        metric="instructions",
        ratio=Ratio(value=ratio, interval=Interval(low=ratio, high=ratio)),
        minimum_detectable=1 + _INSTRUCTIONS_MARGIN,
        pairs=1,
        verdict=verdict,
        reason=f"{before:,} instructions per call before, {after:,} now; {_INSTRUCTIONS_MARGIN:.0%} is allowed",
    )


def _judged(
    artifact: str, threads: int, strict: Shift, high: float, *, pairs: int, allowed: float, note: str = ""
) -> ArtifactComparison:
    limit = math.expm1(allowed)
    if strict.low > allowed:
        verdict, reason = Verdict.REGRESSED, f"at least {math.expm1(strict.low):+.1%}, {limit:.1%} is allowed"
    elif high < allowed:
        verdict, reason = Verdict.PASS, f"at most {math.expm1(high):+.1%}, {limit:.1%} is allowed"
    else:
        low, top = math.expm1(strict.low), math.expm1(strict.high)
        verdict, reason = Verdict.INCONCLUSIVE, f"between {low:+.1%} and {top:+.1%}, {limit:.1%} is allowed"
    return ArtifactComparison(
        artifact=artifact,
        threads=threads,
        metric="latency",
        ratio=Ratio(
            value=math.exp(strict.estimate), interval=Interval(low=math.exp(strict.low), high=math.exp(strict.high))
        ),
        minimum_detectable=math.exp(allowed + strict.estimate - strict.low),
        pairs=pairs,
        verdict=verdict,
        reason=reason + note,
    )
