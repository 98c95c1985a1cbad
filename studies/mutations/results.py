"""Results of a study of verify's sensitivity."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.spec import STRICT
from pocketvae.system.environment import Environment

SCHEMA_VERSION = 1
# The 99th percentile over 320 images differs by up to 3 percent between draws of them.
SAMPLING_MARGIN = 0.05


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One fault in one artifact, and what verify said.

    Attributes:
        kind: Of fault.
        where: Tensor, operator or file.
        effect: On samples that verify does not know, the largest ratio of a deviation to its limit; None where the
            artifact cannot be run any more, has another interface or returns values that are not finite.
        detected: Whether verify failed it.
    """

    __pydantic_config__ = STRICT
    artifact: str
    kind: str
    where: str
    effect: float | None
    detected: bool

    @property
    def exceeds(self) -> bool:
        """Whether the effect is above the limit by more than samples differ, so that verify has to find it."""
        return self.effect is None or self.effect > 1 + SAMPLING_MARGIN

    @property
    def is_at_limit(self) -> bool:
        """Whether other samples could put the effect on either side of the limit."""
        return self.effect is not None and abs(self.effect - 1) <= SAMPLING_MARGIN


@dataclass(frozen=True, kw_only=True)
class CleanRun:
    """One verification of an untouched bundle.

    Attributes:
        seed: Of its order of samples and, where they are fresh, of the samples.
        threads: Inside one inference.
        fresh: Whether the samples were drawn anew; else they are the bundle's goldens in another order.
        alarms: Artifacts that failed, with the check.
    """

    __pydantic_config__ = STRICT
    seed: int
    threads: int
    fresh: bool
    alarms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class KindSummary:
    """All faults of one kind: above the limit, at it (within 5 percent) and below it, and how many verify failed."""

    __pydantic_config__ = STRICT
    kind: str
    made: int
    exceeding: int
    detected: int
    at_limit: int
    detected_at_limit: int
    below_limit: int
    detected_below_limit: int


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """The outcome of a study.

    Attributes:
        config: Every value that decided what was run.
        kinds: One summary for each kind of fault.
        detection_rate: Detected of those whose effect exceeds the limit; None where there were none.
        missed: Those that exceed the limit and passed.
        clean: How many clean runs there were, by whether their samples were fresh.
        alarms: Clean runs that failed.
    """

    __pydantic_config__ = STRICT
    schema_version: int = SCHEMA_VERSION
    bundle: str
    config: dict[str, int | str]
    environment: Environment
    commit: str
    command: str
    kinds: tuple[KindSummary, ...]
    detection_rate: float | None
    missed: tuple[Trial, ...]
    clean: dict[str, int]
    alarms: tuple[CleanRun, ...]


def summarize(trials: list[Trial]) -> tuple[KindSummary, ...]:
    """Returns one summary for each kind, in the order of first appearance."""
    summaries = []
    for kind in dict.fromkeys(trial.kind for trial in trials):
        some = [trial for trial in trials if trial.kind == kind]
        exceeding = [trial for trial in some if trial.exceeds]
        near = [trial for trial in some if trial.is_at_limit]
        below = [trial for trial in some if not trial.exceeds and not trial.is_at_limit]
        summaries.append(
            KindSummary(
                kind=kind,
                made=len(some),
                exceeding=len(exceeding),
                detected=sum(trial.detected for trial in exceeding),
                at_limit=len(near),
                detected_at_limit=sum(trial.detected for trial in near),
                below_limit=len(below),
                detected_below_limit=sum(trial.detected for trial in below),
            )
        )
    return tuple(summaries)


def detection_rate(trials: list[Trial]) -> float | None:
    """Returns the share of faults above the limit that were detected; None where there are none."""
    exceeding = [trial for trial in trials if trial.exceeds]
    return sum(trial.detected for trial in exceeding) / len(exceeding) if exceeding else None
