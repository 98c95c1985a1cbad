"""The file of a fleet: its devices, their labels, and how many run at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocketvae.benchmarks.targets import Target, make_target
from pocketvae.errors import SpecError, unknown_name
from pocketvae.parsing import parse_toml, quoted, shortened
from pocketvae.system.limits import check_number, check_time_limit

MODEL = "model"
# What --select takes beside labels.
NAME, TARGET = "name", "target"
_SECTIONS = ("at_once", "time_limit_s", "at_once_per", "groups", "devices")
_DEVICE_KEYS = ("name", "target", "group", "labels", "time_limit_s")
_GROUP_KEYS = ("labels", "time_limit_s")
_AT_ONCE, _MOST_AT_ONCE = 8, 256
_TIME_LIMIT_S = 1800.0
# Names stand in tables, in file names and before a comma.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")
# Commas separate what --select takes.
_VALUE = re.compile(r"[^,=\s]([^,=\n\r\t]{0,62}[^,=\s])?")


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """One device as the file has it.

    Attributes:
        name: Unique in its fleet.
        target: Where it is, as `--targets` names it.
        labels: Its own, and those of its group that it does not have itself.
        time_limit_s: For all that it does.
    """

    name: str
    target: str
    labels: Mapping[str, str]
    time_limit_s: float

    @property
    def model(self) -> str:
        """What it is one of: its label `model`; a device without is the only one of its kind."""
        return self.labels.get(MODEL, self.name)

    def made(self) -> Target:
        """Returns its target."""
        return make_target(self.target)


@dataclass(frozen=True, kw_only=True)
class FleetConfig:
    """A fleet.

    Attributes:
        name: Of its file.
        devices: In the order of the file.
        at_once: How many run at the same time.
        at_once_per: The same of those with one value of a label, by label.
        selection: What was selected; empty for all.
    """

    name: str
    devices: tuple[DeviceConfig, ...]
    at_once: int = _AT_ONCE
    at_once_per: Mapping[str, int] = field(default_factory=dict)
    selection: str = ""


def read_fleet(path: Path) -> FleetConfig:
    """Reads the file of a fleet.

    Raises:
        SpecError: it does not exist, is not TOML, has no devices, or has an unknown key or a value that cannot be.
    """
    try:
        data = parse_toml(path.read_text("utf-8"))
    except FileNotFoundError as e:
        raise SpecError(f"the fleet {path} does not exist") from e
    except (OSError, ValueError) as e:
        raise SpecError(f"the fleet {path} cannot be read: {e}") from e
    return parse_fleet(data, path.name)


def parse_fleet(data: Mapping[str, Any], name: str) -> FleetConfig:
    """Returns a fleet from the content of its file; see `read_fleet`.

    Args:
        data: As TOML has it.
        name: Of the file, for errors.

    Raises:
        SpecError: see `read_fleet`.
    """
    _check_keys(data, _SECTIONS, name)
    at_once = _at_once(data.get("at_once", _AT_ONCE), f"at_once in {name}")
    time_limit_s = _time_limit(data.get("time_limit_s", _TIME_LIMIT_S), f"time_limit_s in {name}")
    groups = {key: _group(value, f"groups.{shortened(key)} in {name}") for key, value in _table(data, "groups", name)}
    found = data.get("devices", [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise SpecError(f"devices in {name} must be tables that begin with [[devices]], got {quoted(found)}")
    if not found:
        raise SpecError(f"{name} has no devices: add [[devices]] with a name and a target for each")
    devices = tuple(_device(item, number, groups, time_limit_s, name) for number, item in enumerate(found, start=1))
    _check_apart(devices, name)
    labels = dict.fromkeys(label for device in devices for label in device.labels)
    at_once_per = {}
    for label, count in _table(data, "at_once_per", name):
        if label not in labels:
            raise unknown_name(f"label in at_once_per in {name}:", label, labels)
        at_once_per[label] = _at_once(count, f"at_once_per.{label} in {name}")
    return FleetConfig(name=name, devices=devices, at_once=at_once, at_once_per=at_once_per)


def _check_apart(devices: tuple[DeviceConfig, ...], name: str) -> None:
    """Refuses two devices of one name, and two of one target, which would be the same one twice."""
    targets: dict[str, str] = {}
    names = [device.name for device in devices]
    for device in devices:
        if names.count(device.name) > 1:
            raise SpecError(
                f'two devices in {name} have the name {device.name}: give each its own, such as "{device.name}-2"'
            )
        if device.target in targets:
            raise SpecError(
                f"two devices in {name} have the target {device.target}, {targets[device.target]} and {device.name}: "
                "it is one device, so leave one of them out"
            )
        targets[device.target] = device.name
    for device in devices:
        alike = [other.name for other in devices if other is not device and other.model == device.name]
        if MODEL not in device.labels and alike:
            raise SpecError(
                f"device {device.name} in {name} is a model of its own, which {alike[0]} has as its label {MODEL}: "
                "give it that label too, or another name"
            )


def _device(
    item: Mapping[str, Any], number: int, groups: Mapping[str, Mapping[str, Any]], time_limit_s: float, name: str
) -> DeviceConfig:
    where = f"device {quoted(item['name'])} in {name}" if "name" in item else f"device {number} in {name}"
    _check_keys(item, _DEVICE_KEYS, where)
    for key in ("name", "target"):
        if not isinstance(item.get(key), str) or not item[key]:
            raise SpecError(f"{where} must have a {key}" + (f", got {quoted(item[key])}" if key in item else ""))
    if not _NAME.fullmatch(item["name"]):
        raise SpecError(f"the name of {where} must be at most 64 letters, digits, dots, hyphens and underscores")
    group: Mapping[str, Any] = {}
    if "group" in item:
        if not isinstance(item["group"], str) or item["group"] not in groups:
            raise unknown_name(f"group of {where}:", str(item["group"]), groups)
        group = groups[item["group"]]
    try:
        make_target(item["target"])
    except SpecError as e:
        raise SpecError(f"{where}: {e}") from e
    limit = item.get("time_limit_s", group.get("time_limit_s", time_limit_s))
    return DeviceConfig(
        name=item["name"],
        target=item["target"],
        labels={**group.get("labels", {}), **_labels(item, where)},
        time_limit_s=_time_limit(limit, f"time_limit_s of {where}"),
    )


def _group(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"{where} must be a table, got {quoted(value)}")
    _check_keys(value, _GROUP_KEYS, where)
    if "time_limit_s" in value:
        _time_limit(value["time_limit_s"], f"time_limit_s of {where}")
    return {**value, "labels": _labels(value, where)}


def _labels(item: Mapping[str, Any], where: str) -> dict[str, str]:
    found = {}
    for label, value in _table(item, "labels", where):
        if not _LABEL.fullmatch(label) or label in (NAME, TARGET):
            raise SpecError(
                f"a label of {where} must be a word of small letters, digits, hyphens and underscores, and neither "
                f"{NAME} nor {TARGET}, got {quoted(label)}"
            )
        if value == "":
            raise SpecError(f"the label {label} of {where} must not be empty: leave it out, or give it a value")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise SpecError(
                f"the label {label} of {where} must be text of one line without commas and equals signs, "
                f"got {quoted(value)}"
            )
        found[label] = value
    return found


def _table(data: Mapping[str, Any], key: str, where: str) -> list[tuple[str, Any]]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise SpecError(f"{key} in {where} must be a table, got {quoted(value)}")
    return list(value.items())


def _check_keys(data: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in known:
            raise unknown_name(f"key in {where}:", key, known)


def _at_once(value: object, noun: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise SpecError(f"{noun} must be a whole number, got {quoted(value)}")
    check_number(value, noun, most=_MOST_AT_ONCE)
    return value


def _time_limit(value: object, noun: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SpecError(f"{noun} must be a number of seconds, got {quoted(value)}")
    check_time_limit(value, noun)
    return float(value)
