"""What to time and how, checked before any work."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pocketvae.errors import SpecError
from pocketvae.spec import Component

_MOST_CALLS_PER_S = 1000.0


class Extra(enum.StrEnum):
    """Measurements that are made only when asked for."""

    PROFILE = "profile"
    INSTRUCTIONS = "instructions"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What to compare with.

    Attributes:
        path: A bundle, which then runs side by side, or what `bench --json` has written.
        margin: Slowdown that is allowed; None for 0.03, or 0.1 where results are compared alone.
        force: Compare although the machine is another one, or the bundle has another name.

    Raises:
        SpecError: the margin is not above 0 and at most 1.
    """

    path: Path
    margin: float | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.margin is not None and not 0 < self.margin <= 1:
            raise SpecError(f"the margin must be above 0 and at most 100 per cent, got {self.margin:.4g}")


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """What to time.

    Attributes:
        threads: Inside one call, the same for every runtime; one row for each.
        batches: Samples in one call; one row for each. None means every size that a file has.
        artifacts: File names to time; None means all.
        paced_calls_per_s: Rates at which calls are timed beside those that follow one another.
        include_original: Time the original Keras model too; where TensorFlow is missing that is reported as not run.
        original_paths: Models to take in place of those in the bundle, which holds no SavedModel.
        extras: Further measurements.
        baseline: What to compare with.

    Raises:
        SpecError: a number is out of range, or a list is empty.
    """

    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] | None = None
    artifacts: tuple[str, ...] | None = None
    paced_calls_per_s: tuple[float, ...] = ()
    include_original: bool = True
    original_paths: Mapping[Component, Path] = field(default_factory=dict)
    extras: frozenset[Extra] = frozenset()
    baseline: Baseline | None = None

    def __post_init__(self) -> None:
        for noun, counts in (("number of threads", self.threads), ("batch size", self.batches)):
            if counts is None:
                continue
            if not counts:
                raise SpecError(f"at least one {noun} must be given")
            if min(counts) < 1:
                raise SpecError(f"a {noun} must be at least 1, got {min(counts)}")
        if self.artifacts is not None and not self.artifacts:
            raise SpecError("at least one artifact must be named")
        for rate in self.paced_calls_per_s:
            if not 0 < rate <= _MOST_CALLS_PER_S:
                raise SpecError(f"a pace must be above 0 and at most {_MOST_CALLS_PER_S:g} calls/s, got {rate:g}")
        if self.original_paths and not self.include_original:
            raise SpecError("an original is named and left out at the same time: drop one of the two options")
