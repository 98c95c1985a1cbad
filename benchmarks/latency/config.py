"""The configuration of bench: what to time and how, checked before any work."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError, unknown_name
from pocketvae.spec import Component
from pocketvae.system import limits

_MOST_CALLS_PER_S = 1000.0


class Extra(enum.StrEnum):
    """Measurements that are only made on request."""

    PROFILE = "profile"
    INSTRUCTIONS = "instructions"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What to compare with.

    Attributes:
        path: A bundle, which then runs side by side, or a file written by `bench --json`.
        margin: Allowed slowdown; None for 0.03, or 0.1 if the baseline is a result file.
        force: Compare even if the machine or the name of the bundle is different.

    Raises:
        SpecError: the margin is not above 0 and at most 1.
    """

    path: Path
    margin: float | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.margin is not None and not 0 < self.margin <= 1:
            raise SpecError(f"the margin must be above 0 and at most 100 percent, got {self.margin * 100:.4g}")


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """The configuration of a benchmark.

    Attributes:
        threads: Numbers of threads used by one call, the same for every runtime; one row for each.
        batches: Samples per call; one row for each. None means every batch size that a file has.
        artifacts: File names to time, or patterns such as `decoder.*`; None means all.
        paced_calls_per_s: Rates at which calls are timed in addition to consecutive calls.
        include_original: Time the original Keras model too; without TensorFlow it is reported as not run.
        original_paths: Models to use instead of those in the bundle, which does not contain SavedModels.
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
        for noun, counts, most in (
            ("number of threads", self.threads, limits.MOST_THREADS),
            ("batch size", self.batches, limits.MOST_IN_BATCH),
        ):
            if counts is None:
                continue
            if not counts:
                raise SpecError(f"at least one {noun} must be given")
            for count in counts:
                limits.check_number(count, f"a {noun}", most=most)
        if self.artifacts is not None and not self.artifacts:
            raise SpecError("at least one artifact must be named")
        for rate in self.paced_calls_per_s:
            if not 0 < rate <= _MOST_CALLS_PER_S:
                raise SpecError(f"a pace must be above 0 and at most {_MOST_CALLS_PER_S:g} calls/s, got {rate:g}")
        if self.original_paths and not self.include_original:
            raise SpecError("an original is both named and left out: drop one of the two options")

    def chosen(self, artifacts: Sequence[ArtifactRecord]) -> tuple[ArtifactRecord, ...]:
        """Returns the artifacts of a bundle to time, in the order in which they are named.

        Raises:
            SpecError: a name is unknown, or nothing fits a pattern; the message suggests a close match.
        """
        if self.artifacts is None:
            return tuple(artifacts)
        found: dict[str, ArtifactRecord] = {}
        for pattern in self.artifacts:
            fitting = {artifact.name: artifact for artifact in artifacts if fnmatchcase(artifact.name, pattern)}
            if not fitting:
                raise unknown_name("artifact", pattern, [artifact.name for artifact in artifacts])
            found |= fitting
        return tuple(found.values())
