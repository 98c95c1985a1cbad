"""Series of figures out of a history, and what has changed in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from statistics import median

from pocketvae.benchmarks.compare.comparison import subject_of
from pocketvae.benchmarks.devices import DeviceState
from pocketvae.benchmarks.trends.changes import change_points, ratio
from pocketvae.benchmarks.trends.store import DeviceEntry, Entry
from pocketvae.errors import SpecError
from pocketvae.reporting.text import Row, count_of, named
from pocketvae.spec import STRICT

TRENDS_SCHEMA_VERSION = 2
# The only figure that does not repeat exactly.
_TIME = "median_s"


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
        failed_on: Of a model of device, the devices on which the check failed.
    """

    __pydantic_config__ = STRICT
    number: int
    added: str
    revision: str
    label: str
    value: float | None
    passed: bool
    changed: bool
    failed_on: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The result as text: its revision or number, and the day on which it was added."""
        return f"{self.revision or f'result {self.number}'} ({self.added[:10]})"


@dataclass(frozen=True, kw_only=True)
class Series:
    """One figure over time.

    Attributes:
        bundle: Its name; empty of results that were added before it was kept.
        artifact: File name.
        target: Where it ran; with threads and batch, of latencies.
        what: Name of a check, `size_bytes` or `median_s`.
        machine: The processor that all of its results are from; empty for devices of a fleet that are elsewhere.
        moments: In the order in which results were added.
        fails: Whether the check fails in the newest result of its kind that has its bundle, artifact, target and
            machine; one that this result does not have any more does not. Of other files than artifacts, and of `all`,
            any result of the bundle there decides.
    """

    __pydantic_config__ = STRICT
    bundle: str
    artifact: str
    target: str
    what: str
    machine: str
    moments: tuple[Moment, ...]
    fails: bool

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
class UnfinishedDevice:
    """A device of a fleet that did not run everything in the newest result that has it.

    Attributes:
        name: As the fleet's file has it.
        model: What it is one of.
        state: Whether it was lost, or ran a part.
        reason: Why.
        result: The number of that result.
        last_ran: The newest result in which it ran something; None where there is none.
    """

    __pydantic_config__ = STRICT
    name: str
    model: str
    state: DeviceState
    reason: str
    result: int
    last_ran: int | None


@dataclass(frozen=True, kw_only=True)
class Trends:
    """What a history says.

    Attributes:
        results: How many results there are.
        series: Those that were asked for; what has changed comes first.
        unfinished: Devices of fleets that are lost now, or that run only a part.
    """

    __pydantic_config__ = STRICT
    schema_version: int = TRENDS_SCHEMA_VERSION
    results: int
    series: tuple[Series, ...]
    unfinished: tuple[UnfinishedDevice, ...] = ()

    @property
    def failing(self) -> tuple[Series, ...]:
        """The checks that fail now."""
        return tuple(item for item in self.series if item.fails)

    @property
    def changed(self) -> tuple[Series, ...]:
        """The series whose level or verdict has changed."""
        return tuple(item for item in self.series if item.has_changed)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which series are shown: patterns as a shell has them, such as `decoder.*`.

    Attributes:
        label: Of results: those with another count for nothing.
    """

    label: str = "*"
    artifact: str = "*"
    target: str = "*"
    what: str = "*"

    def takes(self, entry: Entry) -> bool:
        """Whether a figure is asked for."""
        pairs = ((entry.artifact, self.artifact), (entry.target, self.target), (entry.what, self.what))
        return all(fnmatchcase(text, pattern) for text, pattern in pairs)


def trends_of(entries: Sequence[Entry], wanted: Filter, devices: Sequence[DeviceEntry] = ()) -> Trends:
    """Returns the series of a history.

    Args:
        entries: All of its figures.
        wanted: Which of them are asked for.
        devices: What became of the devices of fleets.

    Raises:
        SpecError: nothing in it is asked for, or no result has the label.
    """
    labels = {item.origin.label for item in entries} | {item.label for item in devices}
    entries = _of_known_bundles([item for item in entries if fnmatchcase(item.origin.label, wanted.label)])
    devices = [item for item in devices if fnmatchcase(item.label, wanted.label)]
    groups: dict[tuple[str, str, str, str, str], list[Entry]] = {}
    for entry in entries:
        if wanted.takes(entry):
            key = entry.bundle, entry.artifact, entry.target, entry.what, entry.machine
            groups.setdefault(key, []).append(entry)
    if not labels:
        raise SpecError("the history is empty: pocketvae history add RESULT.json adds to it")
    if not entries and not devices:
        known = ", ".join(sorted(labels - {""})) or "none"
        raise SpecError(f"the history has no result with the label {wanted.label}; it has: {known}")
    unfinished = [item for item in _unfinished(devices) if fnmatchcase(item.model, wanted.target)]
    # Devices have no artifacts and figures: a name that nothing has is a slip, whatever was lost.
    if not groups and (not unfinished or wanted.artifact != "*" or wanted.what != "*"):
        raise SpecError("the history has no such figure: leave out a filter to see what it has")
    newest = {subject: entry.number for entry in entries for subject in _subjects(entry)}
    series = [_series(found, newest[_subjects(found[-1])[0]]) for found in groups.values()]
    ordered = sorted(series, key=lambda item: not item.has_changed)
    results = {item.number for item in entries} | {item.number for item in devices}
    return Trends(results=len(results), series=tuple(ordered), unfinished=tuple(unfinished))


def _of_known_bundles(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Returns entries in which those of a bundle that was not kept yet are of the only one that is known."""
    known = {entry.bundle for entry in entries if entry.bundle}
    if len(known) != 1:
        return entries
    (bundle,) = known
    return [entry if entry.bundle else replace(entry, bundle=bundle) for entry in entries]


def _subjects(entry: Entry) -> list[tuple[str, ...]]:
    """Returns what the newest result decides about: the entry's own subject first, then what it is a part of."""
    names = dict.fromkeys((subject_of(entry.artifact, entry.what), ""))
    # A newer result of whatever bundle may be of the one that is not known.
    bundles = dict.fromkeys((entry.bundle, ""))
    return [(entry.kind, bundle, name, entry.target, entry.machine) for bundle in bundles for name in names]


def _unfinished(devices: Sequence[DeviceEntry]) -> list[UnfinishedDevice]:
    newest = {device.name: device for device in devices}
    ran = {device.name: device.number for device in devices if device.state is not DeviceState.LOST}
    return [
        UnfinishedDevice(
            name=name,
            model=item.model,
            state=item.state,
            reason=item.reason,
            result=item.number,
            last_ran=ran.get(name),
        )
        for name, item in newest.items()
        if item.state is not DeviceState.DONE
    ]


def _series(entries: Sequence[Entry], newest: int) -> Series:
    places = [place for place, entry in enumerate(entries) if entry.value is not None]
    first = entries[0]
    values = [value for entry in entries if (value := entry.value) is not None]
    changes = {places[place] for place in change_points(values, is_exact=first.what != _TIME)}
    moments = tuple(
        Moment(
            number=entry.number,
            added=entry.added,
            revision=entry.origin.revision,
            label=entry.origin.label,
            value=entry.value,
            passed=entry.passed,
            changed=place in changes,
            failed_on=entry.failed_on,
        )
        for place, entry in enumerate(entries)
    )
    return Series(
        bundle=first.bundle,
        artifact=first.artifact,
        target=first.target,
        what=first.what,
        machine=first.machine,
        moments=moments,
        fails=not moments[-1].passed and moments[-1].number == newest,
    )


def trends_table(trends: Trends, *, everything: bool) -> tuple[Row, list[Row]]:
    """Returns headers and a row for each series, or for those that have changed."""
    shown, told = trends.series if everything else trends.changed, _told(trends)
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
            *(value for name, value in _origin(item).items() if name in told),
        ]
        for item in shown
    ]
    return [*headers, *told], rows


def _told(trends: Trends) -> list[str]:
    """Returns what tells series of the same figure apart, where there are several."""
    origins = [_origin(item) for item in trends.series]
    return [name for name in ("bundle", "machine") if len({origin[name] for origin in origins}) > 1]


def _origin(series: Series) -> dict[str, str]:
    return {"bundle": series.bundle, "machine": series.machine}


def what_changed(series: Series) -> str:
    """Returns the newest change as text: how much, and in which result; empty where nothing has changed."""
    for place in range(len(series.moments) - 1, 0, -1):
        before, now = series.moments[place - 1], series.moments[place]
        where = now.revision or f"result {now.number}"
        if now.passed != before.passed:
            if not now.passed and not series.fails:
                return f"failed in {where}, not checked since"
            return f"{'passes' if now.passed else 'FAILS'} since {where}"
        if now.changed and before.value is not None and now.value is not None:
            # Of a time the levels tell more than the two values beside the change.
            share = ratio(_level(series.moments[:place], -1), _level(series.moments[place:], 1))
            return f"{share:+.1%} since {where}" if share is not None else f"since {where}"
    return ""


def failure_lines(trends: Trends) -> list[str]:
    """Returns one line for each artifact and target that fails now: in which checks, on which devices, since when."""
    groups: dict[tuple[str, str, str, str], list[Series]] = {}
    for item in trends.failing:
        groups.setdefault((item.bundle, item.artifact, item.target, item.machine), []).append(item)
    told = _told(trends)
    return [
        f"{artifact}{_of('bundle', bundle, told)} on {target}{_of('machine', machine, told)} FAILS{_how(found)}"
        for (bundle, artifact, target, machine), found in groups.items()
    ]


def _of(name: str, value: str, told: Sequence[str]) -> str:
    return f" of {value}" if value and name in told else ""


def _how(found: Sequence[Series]) -> str:
    devices = sorted({name for item in found for name in item.last.failed_on})
    passed = [[place for place, moment in enumerate(item.moments) if moment.passed] for item in found]
    # Of several checks the one that has failed for longest says since when.
    longest, places = min(zip(found, passed, strict=True), key=lambda pair: pair[0].moments[_after(pair[1])].number)
    last = f"last passed in {longest.moments[places[-1]].where}" if places else "never passed here"
    where = f" on {named(devices)}" if devices else ""
    checks = named([item.what for item in found])
    return f"{where} since {longest.moments[_after(places)].where}: {checks}; {last}"


def _after(places: Sequence[int]) -> int:
    return places[-1] + 1 if places else 0


def device_lines(trends: Trends) -> list[str]:
    """Returns one line for each device that is lost now or runs only a part, which is no failure."""
    lines = []
    for item in trends.unfinished:
        fate, last = "ran only a part", ""
        if item.state is DeviceState.LOST:
            fate = "was lost"
            last = f"; last ran in result {item.last_ran}" if item.last_ran is not None else "; never ran here"
        lines.append(f"{item.name} ({item.model}) {fate} in result {item.result}: {item.reason}{last}")
    return lines


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
    failing = len(trends.failing)
    changed, results = count_of(len(trends.changed), "figure"), count_of(trends.results, "result")
    parts = [f"{changed} of {len(trends.series)} changed in {results}"]
    parts += [f"{failing} {'fails' if failing == 1 else 'fail'} now"] if failing else []
    for state, fate in ((DeviceState.LOST, "lost"), (DeviceState.PARTIAL, "able to run only a part")):
        count = sum(item.state is state for item in trends.unfinished)
        parts += [f"{count_of(count, 'device')} {fate}"] if count else []
    return "; ".join(parts)


def text_of(moment: Moment, what: str) -> str:
    """Returns a value with its unit."""
    if moment.value is None:
        return "pass" if moment.passed else "FAIL"
    if what == "size_bytes":
        return f"{moment.value / 1000:.1f} kB"
    return f"{moment.value * 1e6:.1f} µs" if what == _TIME else f"{moment.value:.3g}"
