"""The devices of a fleet and what each model of them did, inside the documents of verify and bench."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.spec import STRICT


class DeviceState(enum.StrEnum):
    """What became of a device.

    DONE: it ran all that it supports. PARTIAL: something could not be run. LOST: nothing could.
    """

    DONE = "done"
    PARTIAL = "partial"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device.

    Attributes:
        name: Its target in checks, rows and what did not run.
        target: Where it is, as the fleet's file has it.
        model: What it is one of.
        labels: All that the fleet's file says of it.
        state: What became of it.
        reason: Why it is not done; empty where it is.
        elapsed_s: How long it took, from opening to the removal of copies.
        lost_midway: Whether it ran something, and then nothing more of several artifacts: it is the device that was
            lost, and not an artifact that does not run.
    """

    __pydantic_config__ = STRICT
    name: str
    target: str
    model: str
    labels: dict[str, str]
    state: DeviceState
    reason: str = ""
    elapsed_s: float = 0.0
    lost_midway: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelParity:
    """One artifact on all devices of one model: the check that is closest to its limit, and on which device.

    Attributes:
        devices: How many ran it.
        failed: Names of those on which a check failed.
        device: Where the worst check is from.
        output: The checked output; empty for the artifact as a whole.
        metric: As that check has it.
        value: None if it is not a finite number.
        limit: None for checks without a number.
    """

    __pydantic_config__ = STRICT
    model: str
    artifact: str
    devices: int
    failed: tuple[str, ...]
    device: str
    output: str
    metric: str
    value: float | None
    limit: float | None


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """A device whose latency is not that of its model.

    Attributes:
        median_s: Its own.
        ratio: Of its median to that of the model; above 1 is slower.
        score: The modified z-score of the logarithm.
    """

    __pydantic_config__ = STRICT
    device: str
    median_s: float
    ratio: float
    score: float


@dataclass(frozen=True, kw_only=True)
class ModelLatency:
    """One artifact on all devices of one model: the distribution of the devices' medians.

    Attributes:
        threads: Inside one call.
        medians_s: Of each device that was timed, by its name.
        median_s: Of these.
        outliers: Empty where there are too few devices to tell.
    """

    __pydantic_config__ = STRICT
    model: str
    artifact: str
    threads: int
    medians_s: dict[str, float]
    median_s: float
    outliers: tuple[Outlier, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The devices of a result.

    Attributes:
        name: Of the fleet's file.
        selection: What was selected of it, as it was asked for; empty for all.
        devices: In the order of the file.
        parity: Of verify, the worst case of each artifact by model.
        latency: Of bench, each artifact by model.
        elapsed_s: From the first device to the last.
    """

    __pydantic_config__ = STRICT
    name: str
    selection: str
    devices: tuple[Device, ...]
    parity: tuple[ModelParity, ...] = ()
    latency: tuple[ModelLatency, ...] = ()
    elapsed_s: float

    @property
    def unfinished(self) -> tuple[Device, ...]:
        """The devices that are not done, with their reasons."""
        return tuple(device for device in self.devices if device.state is not DeviceState.DONE)

    def is_lost(self, device: str) -> bool:
        """Whether a device was lost, wholly or midway: what it did not run says nothing of the artifacts."""
        return any(
            item.name == device and (item.state is DeviceState.LOST or item.lost_midway) for item in self.devices
        )

    @property
    def models(self) -> dict[str, tuple[Device, ...]]:
        """The devices of each model."""
        names = dict.fromkeys(device.model for device in self.devices)
        return {name: tuple(device for device in self.devices if device.model == name) for name in names}

    def model_of(self, device: str) -> str:
        """Returns the model of a device; of what is no device, such as a control on this machine, its own name."""
        return next((item.model for item in self.devices if item.name == device), device)
