"""What a phone says of itself: its processor, its fast cores, how warm it is and whether it slows down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pocketvae.benchmarks.remote.debug_bridge import Device

_PROPERTIES = {
    "abis": "ro.product.cpu.abilist",
    "abi": "ro.product.cpu.abi",
    "maker": "ro.product.manufacturer",
    "model": "ro.product.model",
    "chip": "ro.soc.model",
    "board": "ro.board.platform",
    "android": "ro.build.version.release",
    "emulator": "ro.kernel.qemu",
    "boot_emulator": "ro.boot.qemu",
}
_CORES = (
    'for f in /sys/devices/system/cpu/cpu[0-9]*; do echo "${f##*cpu} $(cat $f/cpufreq/cpuinfo_max_freq 2>/dev/null) '
    '$(cat $f/cpufreq/scaling_max_freq 2>/dev/null)"; done'
)
_ZONES = (
    'for f in /sys/class/thermal/thermal_zone*; do echo "$(cat $f/type 2>/dev/null) $(cat $f/temp 2>/dev/null)"; done'
)
_STATUS = re.compile(r"^\s*Thermal Status:\s*(\d+)", re.MULTILINE)
_READING = re.compile(r"Temperature\{mValue=(-?[\d.]+), mType=(\d+), mName=([^,}]+)")
# Temperature.TYPE_CPU, TYPE_GPU and TYPE_SKIN of android.os: skin is what decides about throttling.
_SKIN, _CHIP_TYPES = "3", ("0", "1")
_CHIP_ZONES = re.compile(r"cpu|soc|tsens|big", re.IGNORECASE)
_STATUS_NAMES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True, kw_only=True)
class Cores:
    """The processors of a phone.

    Attributes:
        highest: The highest frequency of each by its number, in kHz; empty where the phone does not say.
        allowed: The highest that the phone allows now.
    """

    highest: Mapping[int, int]
    allowed: Mapping[int, int]

    def fastest(self, count: int) -> tuple[int, ...]:
        """Returns the fastest processors, at least `count` of them where there are so many, whole clusters each."""
        chosen: list[int] = []
        for frequency in sorted(set(self.highest.values()), reverse=True):
            if len(chosen) < count:
                chosen += [core for core, own in self.highest.items() if own == frequency]
        return tuple(sorted(chosen))

    @property
    def limited_to(self) -> float:
        """Share of their highest frequency that the phone allows the fastest processors now."""
        return min((min(1.0, self.allowed[core] / self.highest[core]) for core in self.fastest(1)), default=1.0)


@dataclass(frozen=True, kw_only=True)
class Heat:
    """How warm a phone is.

    Attributes:
        celsius: Its skin's temperature, or the chip's; None where it does not say.
        status: Android's thermal status: 0 is none, 1 light, and so on; None where it does not say.
        limited_to: Share of the fast cores' highest frequency that is allowed.
    """

    celsius: float | None
    status: int | None
    limited_to: float

    def describe(self) -> str:
        """Returns it in words."""
        parts = [f"{self.celsius:.1f} °C" if self.celsius is not None else "temperature unknown"]
        if self.status:
            parts.append(f"thermal status {_STATUS_NAMES[min(self.status, len(_STATUS_NAMES) - 1)]}")
        if self.limited_to < 1:
            parts.append(f"fast cores limited to {self.limited_to:.0%} of their frequency")
        return ", ".join(parts)


def read_properties(device: Device) -> dict[str, str]:
    """Returns what Android's properties say, by our names; a property that the phone does not have is empty.

    Raises:
        ChannelError: the device is gone.
    """
    script = "; ".join(f'echo "{name}=$(getprop {key})"' for name, key in _PROPERTIES.items())
    pairs = (line.partition("=") for line in device.shell(script).splitlines())
    return {name: value.strip() for name, _, value in pairs if name in _PROPERTIES}


def read_cores(device: Device) -> Cores:
    """Returns the processors and their frequencies.

    Raises:
        ChannelError: the device is gone.
    """
    rows = [line.split() for line in device.shell(_CORES).splitlines()]
    known = [[int(word) for word in row] for row in rows if len(row) == 3 and all(word.isdigit() for word in row)]
    known = [row for row in known if row[1] > 0]
    return Cores(highest={row[0]: row[1] for row in known}, allowed={row[0]: row[2] for row in known})


def read_heat(device: Device) -> Heat:
    """Returns how warm it is now.

    Raises:
        ChannelError: the device is gone.
    """
    said = _attempt(device, "dumpsys thermalservice")
    status = _STATUS.search(said)
    readings = [(kind, float(value)) for value, kind, _ in _READING.findall(said)]
    skin = [value for kind, value in readings if kind == _SKIN]
    chip = [value for kind, value in readings if kind in _CHIP_TYPES] or _zones(device)
    celsius = max(skin or chip, default=None)
    return Heat(celsius=celsius, status=int(status[1]) if status else None, limited_to=read_cores(device).limited_to)


def is_emulator(properties: Mapping[str, str]) -> bool:
    """Whether the properties are those of an emulator, whose times say nothing about a phone."""
    return "1" in (properties.get("emulator"), properties.get("boot_emulator"))


def heat_warnings(before: Heat, after: Heat) -> tuple[str, ...]:
    """Returns what is to be said beside times that were measured in between."""
    notes = [f"before {before.describe()}; after {after.describe()}"]
    if after.status or before.status or min(before.limited_to, after.limited_to) < 1:
        notes.append("the phone was throttled while it was timed: let it cool, and run it again")
    return tuple(notes)


def _zones(device: Device) -> list[float]:
    """Returns the temperatures of the chip in °C that the kernel shows; they are in thousandths."""
    rows = (line.split() for line in _attempt(device, _ZONES).splitlines())
    found = [(words[0], words[1]) for words in rows if len(words) == 2]
    return [int(value) / 1000 for name, value in found if _CHIP_ZONES.search(name) and value.lstrip("-").isdigit()]


def _attempt(device: Device, script: str) -> str:
    """Returns what a script prints; nothing where the phone does not allow it."""
    return device.shell(f"{script} || true")
