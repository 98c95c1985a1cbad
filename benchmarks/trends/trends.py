"""Series of figures out of a history, and what has changed in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import median

from pocketvae.benchmarks.trends.changes import change_points, ratio
from pocketvae.benchmarks.trends.store import Entry
from pocketvae.errors import SpecError
from pocketvae.reporting.text import Row, count_of
from pocketvae.spec import STRICT

TRENDS_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One result of a series.

    Attributes:
        number: Of the result in the history.
        added: When it was added, in UTC.
        revision: Of the source; empty where it is not known.
        label: Of the result.
        value: The figure; None where there is a verdict alone.
        passed: The verdict of a check; True of what has none.
        changed: Whether a new level begins here.
    """

    __pydantic_config__ = STRICT
    number: int
    added: str
    revision: str
    label: str
    value: float | None
    passed: bool
    changed: bool


@dataclass(frozen=True, kw_only=True)
class Series:
    """One figure over time.

    Attributes:
        artifact: File name.
        target: Where it ran; with threads and batch, of latencies.
        what: Name of a check, `size_bytes` or `median_s`.
        machine: The processor that all of its results are from.
        moments: In the order in which results were added.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    what: str
    machine: str
    moments: tuple[Moment, ...]

    @property
    def has_changed(self) -> bool:
        """Whether a level or a verdict has changed."""
        verdicts = {moment.passed for moment in self.moments}
        return len(verdicts) > 1 or any(moment.changed for moment in self.moments)

    @property
    def last(self) -> Moment:
        """The newest result."""
        return self.moments[-1]


@dataclass(frozen=True, kw_only=True)
class Trends:
    """What a history says.

    Attributes:
        results: How many results there are.
        series: Those that were asked for; what has changed comes first.
    """

    __pydantic_config__ = STRICT
    schema_version: int = TRENDS_SCHEMA_VERSION
    results: int
    series: tuple[Series, ...]

    @property
    def changed(self) -> tuple[Series, ...]:
        """The series whose level or verdict has changed."""
        return tuple(item for item in self.series if item.has_changed)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which series are shown: patterns as a shell has them, such as `decoder.*`."""

    artifact: str = "*"
    target: str = "*"
    what: str = "*"

    def takes(self, entry: Entry) -> bool:
        """Whether a figure is asked for."""
        pairs = ((entry.artifact, self.artifact), (entry.target, self.target), (entry.what, self.what))
        return all(fnmatchcase(text, pattern) for text, pattern in pairs)


def trends_of(entries: Sequence[Entry], wanted: Filter) -> Trends:
    """Returns the series of a history.

    Raises:
        SpecError: nothing in it is asked for.
    """
    groups: dict[tuple[str, str, str, str], list[Entry]] = {}
    for entry in entries:
        if wanted.takes(entry):
            groups.setdefault((entry.artifact, entry.target, entry.what, entry.machine), []).append(entry)
    if not entries:
        raise SpecError("the history is empty: pocketvae history add RESULT.json adds to it")
    if not groups:
        raise SpecError("the history has no such figure: leave out a filter to see what it has")
    series = [_series(found) for found in groups.values()]
    ordered = sorted(series, key=lambda item: not item.has_changed)
    return Trends(results=len({entry.number for entry in entries}), series=tuple(ordered))


def _series(entries: Sequence[Entry]) -> Series:
    places = [place for place, entry in enumerate(entries) if entry.value is not None]
    found = change_points([value for entry in entries if (value := entry.value) is not None])
    changes = {places[place] for place in found}
    first = entries[0]
    moments = tuple(
        Moment(
            number=entry.number,
            added=entry.added,
            revision=entry.origin.revision,
            label=entry.origin.label,
            value=entry.value,
            passed=entry.passed,
            changed=place in changes,
        )
        for place, entry in enumerate(entries)
    )
    return Series(artifact=first.artifact, target=first.target, what=first.what, machine=first.machine, moments=moments)


def trends_table(trends: Trends, *, everything: bool) -> tuple[Row, list[Row]]:
    """Returns headers and a row for each series, or for those that have changed."""
    shown = trends.series if everything else trends.changed
    several = len({item.machine for item in trends.series}) > 1
    headers = ["artifact", "target", "figure", "results", "first", "last", "changed"]
    rows = [
        [
            item.artifact,
            item.target,
            item.what,
            str(len(item.moments)),
            text_of(item.moments[0], item.what),
            text_of(item.last, item.what),
            what_changed(item),
            *([item.machine] if several else []),
        ]
        for item in shown
    ]
    return [*headers, *(["machine"] if several else [])], rows


def what_changed(series: Series) -> str:
    """Returns the newest change as text: how much, and in which result; empty where nothing has changed."""
    for place in range(len(series.moments) - 1, 0, -1):
        before, now = series.moments[place - 1], series.moments[place]
        where = now.revision or f"result {now.number}"
        if now.passed != before.passed:
            return f"{'passes' if now.passed else 'FAILS'} since {where}"
        if now.changed and before.value is not None and now.value is not None:
            # Of a time the levels tell more than the two values beside the change.
            share = ratio(_level(series.moments[:place], -1), _level(series.moments[place:], 1))
            return f"{share:+.1%} since {where}" if share is not None else f"since {where}"
    return ""


def _level(moments: Sequence[Moment], direction: int) -> float:
    """Returns the median of the values on one side of a change, up to the next one."""
    values: list[float] = []
    for place, moment in enumerate(moments[::direction]):
        # Forwards the first is the change itself; backwards the part ends with its own beginning.
        if direction > 0 and place and moment.changed:
            break
        if moment.value is not None:
            values.append(moment.value)
        if direction < 0 and moment.changed:
            break
    return median(values)


def trends_line(trends: Trends) -> str:
    """Returns a sentence: how much there is, and how much of it has changed."""
    failing = sum(not item.last.passed for item in trends.series)
    changed, results = count_of(len(trends.changed), "figure"), count_of(trends.results, "result")
    line = f"{changed} of {len(trends.series)} changed in {results}"
    return f"{line}; {failing} {'fails' if failing == 1 else 'fail'} now" if failing else line


def text_of(moment: Moment, what: str) -> str:
    """Returns a value with its unit."""
    if moment.value is None:
        return "pass" if moment.passed else "FAIL"
    if what == "size_bytes":
        return f"{moment.value / 1000:.1f} kB"
    return f"{moment.value * 1e6:.1f} µs" if what == "median_s" else f"{moment.value:.3g}"
