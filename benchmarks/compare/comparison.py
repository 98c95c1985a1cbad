"""Two results, or two bundles, side by side: what changed in parity, size and latency."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pocketvae.benchmarks.latency.results import BenchResult
from pocketvae.benchmarks.not_run import ALL
from pocketvae.benchmarks.parity.results import CONTENT, VerifyResult
from pocketvae.bundle.manifest import Manifest
from pocketvae.reporting.text import count_of
from pocketvae.spec import STRICT, Format

COMPARISON_SCHEMA_VERSION = 1
# Smaller changes come from rounding in another machine's kernels, not from a different artifact.
_SAME_SHARE = 0.01
# Targets of what bench could not find out in addition to latency.
_BESIDE = ("instructions", "peaks")


class Change(enum.StrEnum):
    """How a figure changed.

    REGRESSED: a check that passed now fails, or an artifact no longer runs. WORSE and BETTER: the figure changed by
    more than one percent but the verdict did not change. FIXED: a check that failed now passes, or is gone where it is
    written only as long as something is wrong. ADDED and REMOVED: only one side has it. NOT_COMPARED: only one side has
    it, because no device of its model ran on the other.
    """

    REGRESSED = "regressed"
    FIXED = "fixed"
    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One figure of both sides.

    Attributes:
        artifact: File name.
        target: Where it ran; empty if the figure does not depend on a target.
        what: Name of a check such as `image p99_abs`, `size_bytes`, or `median_s`.
        before: Value on the first side; None if it has none.
        after: Value on the second side.
        change: How it changed.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    what: str
    before: float | None
    after: float | None
    change: Change


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All figures that either side has.

    Attributes:
        before: Name of the first side.
        after: Name of the second side.
        notes: Reasons why figures may not be comparable.
    """

    __pydantic_config__ = STRICT
    schema_version: int = COMPARISON_SCHEMA_VERSION
    before: str
    after: str
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    @property
    def regressed(self) -> bool:
        """Whether a check that passed now fails, or something is gone."""
        return any(item.change in (Change.REGRESSED, Change.REMOVED) for item in self.differences)

    @property
    def says_nothing(self) -> bool:
        """Whether no figure could be compared, as where every device was lost."""
        return all(item.change is Change.NOT_COMPARED for item in self.differences)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A value and, if it has a limit, whether it passed."""

    value: float | None
    passed: bool = True


Key = tuple[str, str, str]


def subject_of(artifact: str, what: str) -> str:
    """Returns the artifact that a check is of; empty where it is of the bundle: of its other files, or of `all`."""
    is_artifact = "/" not in artifact and artifact.rpartition(".")[2] in tuple(Format)
    return "" if artifact == ALL or (what == CONTENT and not is_artifact) else artifact


def parity_figures(result: VerifyResult) -> dict[Key, Measurement]:
    """Returns every check of a verification; what did not run counts as a failed check."""
    figures = {}
    for check in result.checks:
        batch = f" at batch {check.batch}" if check.batch != 1 else ""
        what = f"{check.output} {check.metric}".strip() + batch
        figures[check.artifact, check.target, what] = Measurement(value=check.value, passed=check.passed)
    for item in result.not_run:
        figures[item.artifact, item.target, "loads"] = Measurement(value=None, passed=False)
    return figures


def size_figures(manifest: Manifest) -> dict[Key, Measurement]:
    """Returns the size of every artifact."""
    return {(item.name, "", "size_bytes"): Measurement(value=item.file.size_bytes) for item in manifest.artifacts}


def latency_figures(result: BenchResult) -> dict[Key, Measurement]:
    """Returns the median latency and the size of everything that was timed, and what could not be timed.

    Instruction counts and the machine's peaks are left out: they are not properties of a file's latency.
    """
    figures = {}
    for row in result.results:
        figures[row.artifact, row.target, "runs"] = Measurement(value=None)
        if row.execution is not None:
            figures[row.artifact, "examination", "runs"] = Measurement(value=None)
        where = f"{row.target}, {count_of(row.threads, 'thread')}" + (f", batch {row.batch}" if row.batch != 1 else "")
        figures[row.artifact, where, "median_s"] = Measurement(value=row.median_s)
        figures[row.artifact, where, "size_bytes"] = Measurement(value=row.size_bytes)
    for away in result.elsewhere:
        figures[away.artifact, away.target, "runs"] = Measurement(value=None)
        figures[away.artifact, f"{away.target}, {count_of(away.threads, 'thread')}", "median_s"] = Measurement(
            value=away.median_s
        )
    for item in result.not_run:
        if item.target not in _BESIDE and not _is_original(item.artifact):
            figures[item.artifact, item.target, "runs"] = Measurement(value=None, passed=False)
    return figures


def compare_figures(before: Mapping[Key, Measurement], after: Mapping[Key, Measurement]) -> tuple[Difference, ...]:
    """Returns one difference for each figure of either side, in the order of the first side."""
    return tuple(_differences(before, after))


def _differences(before: Mapping[Key, Measurement], after: Mapping[Key, Measurement]) -> Iterator[Difference]:
    passing = [(artifact, target) for (artifact, target, _), figure in after.items() if figure.passed]
    checked = {*passing, *(("", target) for _, target in passing)}
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        artifact, target, what = key
        # The original is only a reference, which either side may have been timed without.
        if _is_original(artifact) and (old is None or new is None):
            continue
        yield Difference(
            artifact=artifact,
            target=target,
            what=what,
            before=old.value if old else None,
            after=new.value if new else None,
            change=_change(old, new, is_checked=(subject_of(artifact, what), target) in checked),
        )


def _is_original(artifact: str) -> bool:
    return artifact.startswith("original ")


def _change(old: Measurement | None, new: Measurement | None, *, is_checked: bool) -> Change:
    """Returns what became of a figure; `is_checked` says whether the second side has another of its subject."""
    if old is None:
        return Change.REGRESSED if new is not None and not new.passed else Change.ADDED
    if new is None:
        # Some checks, such as that of a damaged file, are written only where they fail.
        return Change.FIXED if is_checked and not old.passed and old.value is None else Change.REMOVED
    if old.passed != new.passed:
        return Change.FIXED if new.passed else Change.REGRESSED
    if old.value is None or new.value is None:
        return Change.SAME
    if abs(new.value - old.value) <= _SAME_SHARE * max(abs(old.value), abs(new.value)):
        return Change.SAME
    return Change.WORSE if new.value > old.value else Change.BETTER
