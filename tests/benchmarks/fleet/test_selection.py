"""Devices by their labels."""

import pytest

from pocketvae.benchmarks.fleet.selection import selected
from pocketvae.errors import SpecError

LABELS = {
    "p1": {"model": "pixel-6", "site": "berlin"},
    "p2": {"model": "pixel-6", "site": "oslo"},
    "p7": {"model": "pixel-7", "site": "oslo"},
    "pi": {"model": "pi-5"},
}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("model=pixel-6", ["p1", "p2"]),
        ("model=pixel-*,site=oslo", ["p2", "p7"]),
        ("model=pixel-7,model=pi-5", ["p7", "pi"]),
        (" name = p? ", ["p1", "p2", "p7", "pi"]),
        ("site=*", ["p1", "p2", "p7"]),
        ("target=*p1", ["p1"]),
    ],
)
def test_labels_select(fleet_of, devices, text, names):
    with devices.simulated({}):
        found = selected(fleet_of(LABELS), text)
    assert [device.name for device in found.devices] == names
    assert found.selection == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pixel-6", r"--select takes LABEL=VALUE such as .*, got 'pixel-6'"),
        ("model=", "--select takes LABEL=VALUE"),
        ("", "--select takes LABEL=VALUE"),
        ("modl=pixel-6", r"unknown label in --select: in fleet\.toml 'modl': did you mean 'model'"),
        ("model=pixel-5", r"no device of fleet\.toml has model=pixel-5: did you mean .*known: pixel-6, pixel-7, pi-5"),
        ("model=pixel-7,site=berlin", "each part has some, but not together"),
    ],
)
def test_a_selection_of_nothing_is_refused(fleet_of, devices, text, message):
    with devices.simulated({}), pytest.raises(SpecError, match=message):
        selected(fleet_of(LABELS), text)
