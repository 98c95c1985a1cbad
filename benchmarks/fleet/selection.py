"""Devices by their labels: `model=pixel-*,site=berlin`."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from pocketvae.benchmarks.fleet.config import NAME, TARGET, DeviceConfig, FleetConfig
from pocketvae.errors import SpecError, did_you_mean, unknown_name
from pocketvae.parsing import quoted

# So many values of a label are named in an error.
_NAMED = 12


def selected(fleet: FleetConfig, text: str) -> FleetConfig:
    """Returns the devices that have what is asked for.

    Args:
        fleet: With all of its devices.
        text: `LABEL=PATTERN` separated by commas; a label that is named several times may have any of the values.
            `name` and `target` stand for those of the devices.

    Raises:
        SpecError: it cannot be read, a label is unknown, or no device is left.
    """
    wanted: dict[str, list[str]] = {}
    for part in text.split(","):
        label, equals, pattern = (word.strip() for word in part.partition("="))
        if not (label and equals and pattern):
            raise SpecError(f"--select takes LABEL=VALUE such as model=pixel-6,site=berlin, got {quoted(text)}")
        wanted.setdefault(label, []).append(pattern)
    known = dict.fromkeys((NAME, TARGET, *(label for device in fleet.devices for label in device.labels)))
    for label, patterns in wanted.items():
        if label not in known:
            raise unknown_name(f"label in --select: in {fleet.name}", label, known)
        for pattern in patterns:
            _check_some(fleet, label, pattern)
    devices = tuple(
        device
        for device in fleet.devices
        if all(any(_has(device, label, pattern) for pattern in patterns) for label, patterns in wanted.items())
    )
    if not devices:
        raise SpecError(f"no device of {fleet.name} has {text}: each part has some, but not together")
    return replace(fleet, devices=devices, selection=text)


def _check_some(fleet: FleetConfig, label: str, pattern: str) -> None:
    if any(_has(device, label, pattern) for device in fleet.devices):
        return
    values = list(dict.fromkeys(value for device in fleet.devices if (value := _value(device, label))))
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    raise SpecError(
        f"no device of {fleet.name} has {label}={pattern}: {did_you_mean(pattern, values)}"
        f"known: {', '.join(values[:_NAMED])}{more}"
    )


def _has(device: DeviceConfig, label: str, pattern: str) -> bool:
    value = _value(device, label)
    return bool(value) and fnmatchcase(value, pattern)


def _value(device: DeviceConfig, label: str) -> str:
    return {**device.labels, NAME: device.name, TARGET: device.target}.get(label, "")
