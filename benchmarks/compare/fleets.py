"""Figures of fleets by model of device, and what is said of devices that joined or were lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from statistics import median
from typing import TypeAlias

from pocketvae.benchmarks.compare.comparison import Change, Difference, Key, Measurement
from pocketvae.benchmarks.devices import DeviceState, Fleet
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.reporting.text import count_of, named

# As many devices with the same fate are named one by one.
_NAMED = 12
# Between a target and the threads and batch of a latency.
_SETTING = ", "
# Figures of which the middle device tells more than the worst.
_LEVELS = ("median_s", "size_bytes")
_ONE_SIDED = (Change.ADDED, Change.REMOVED)

Figures: TypeAlias = dict[Key, Measurement]


def told_by_models(not_run: Sequence[NotRun], ran: Sequence[tuple[str, str]], fleet: Fleet) -> tuple[NotRun, ...]:
    """Returns what no device of a model could run: where one did, the others say nothing of the model.

    Args:
        not_run: By artifact and device.
        ran: Artifact and device of what ran.
        fleet: The devices.
    """
    known = {(artifact, fleet.model_of(device)) for artifact, device in ran}
    return tuple(item for item in not_run if (item.artifact, fleet.model_of(item.target)) not in known)


def by_model(figures: Mapping[Key, Measurement], fleet: Fleet) -> Figures:
    """Returns the figures of a fleet by model of device in place of device.

    A check has the value of the worst device and passes where it passes on all; a latency is the devices' median.

    Args:
        figures: By artifact, device and what is measured.
        fleet: The devices.
    """
    groups: dict[Key, list[Measurement]] = {}
    for key, figure in figures.items():
        groups.setdefault(_group(key, fleet), []).append(figure)
    return {key: _together(found, key[2]) for key, found in groups.items()}


def failures(figures: Mapping[Key, Measurement], fleet: Fleet) -> list[tuple[str, str, str, str]]:
    """Returns what failed by model of device, as `by_model` names it, each with a device on which it did."""
    return [(*_group(key, fleet), key[1].partition(_SETTING)[0]) for key, item in figures.items() if not item.passed]


def paired(before: Figures, of_before: Fleet, after: Figures, of_after: Fleet) -> tuple[Figures, Figures]:
    """Returns what `by_model` returns of both sides, from devices that both have.

    A device that joined or was lost does not look like a change of its model. Where the sides share no device of a
    model, all of its devices count.

    Args:
        before: Figures of the first side by device.
        of_before: Its devices.
        after: Figures of the second side.
        of_after: Its devices.
    """
    shared = {key for key in before if key in after and _group(key, of_before) == _group(key, of_after)}
    groups = {_group(key, of_before) for key in shared}
    first, second = (
        {key: figure for key, figure in figures.items() if key in shared or _group(key, fleet) not in groups}
        for figures, fleet in ((before, of_before), (after, of_after))
    )
    return by_model(first, of_before), by_model(second, of_after)


def without_lost(
    differences: Sequence[Difference], fleets: Sequence[Fleet], unheard: Set[tuple[str, str]]
) -> tuple[Difference, ...]:
    """Returns differences in which a figure is not compared, and not gone or new, where a side has no device for it.

    Args:
        differences: By model.
        fleets: The devices of both sides.
        unheard: Artifacts by model that one of the sides did not run because devices were lost.
    """
    silent = _silent(*fleets)

    def is_compared(item: Difference) -> bool:
        model = item.target.partition(_SETTING)[0]
        return item.change not in _ONE_SIDED or (model not in silent and (item.artifact, model) not in unheard)

    return tuple(item if is_compared(item) else replace(item, change=Change.NOT_COMPARED) for item in differences)


def _silent(before: Fleet, after: Fleet) -> list[str]:
    """Returns the models of which no device ran on one of the sides."""
    heard = [
        {device.model for device in fleet.devices if device.state is not DeviceState.LOST} for fleet in (before, after)
    ]
    return [model for model in {**before.models, **after.models} if not all(model in models for models in heard)]


def device_notes(before: Fleet, after: Fleet, unheard: Set[tuple[str, str]]) -> tuple[str, ...]:
    """Returns what is said of devices that one side does not have, or that were lost, and of what they did not run.

    Args:
        before: The devices of the first side.
        after: Those of the second side.
        unheard: See `without_lost`.
    """
    old, new = ({device.name: device for device in fleet.devices} for fleet in (before, after))
    notes = [
        _note("joined", [name for name in new if name not in old]),
        _note("left", [name for name in old if name not in new]),
        _note("of another model now", [name for name in new if name in old and new[name].model != old[name].model]),
        _note("able to run only a part now", [n for n, device in new.items() if device.state is DeviceState.PARTIAL]),
        _note("lost before", [name for name, device in old.items() if device.state is DeviceState.LOST]),
    ]
    lost = [device for device in after.devices if device.state is DeviceState.LOST]
    for reason in dict.fromkeys(device.reason for device in lost):
        notes.append(f"{_note('lost', [device.name for device in lost if device.reason == reason])}: {reason}")
    silent = _silent(before, after)
    if silent:
        notes.append(f"not compared: {named(silent, _NAMED)}: no device ran on both sides")
    parts = Counter(model for _, model in unheard if model not in silent)
    notes += [f"not compared: {count_of(count, 'artifact')} of {model}: lost midway" for model, count in parts.items()]
    return tuple(note for note in notes if note)


def _group(key: Key, fleet: Fleet) -> Key:
    artifact, target, what = key
    device, setting, rest = target.partition(_SETTING)
    return artifact, f"{fleet.model_of(device)}{setting}{rest}", what


def _together(figures: Sequence[Measurement], what: str) -> Measurement:
    values = [figure.value for figure in figures if figure.value is not None]
    passed = all(figure.passed for figure in figures)
    # A value that is not finite is not there, and nothing is worse.
    if not values or (len(values) < len(figures) and not passed):
        return Measurement(value=None, passed=passed)
    return Measurement(value=median(values) if what in _LEVELS else max(values), passed=passed)


def _note(fate: str, names: list[str]) -> str:
    if not names:
        return ""
    return f"{count_of(len(names), 'device')} {fate}: {named(names, _NAMED)}"
