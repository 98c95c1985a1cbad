"""Devices that are not there, of the study that measures fleets."""

import importlib.util
import sys
from pathlib import Path

import pytest

from pocketvae.benchmarks.fleet.config import parse_fleet

FILE = Path(__file__).parents[3] / "studies" / "simulated_devices.py"


@pytest.fixture(scope="session")
def devices():
    """The module."""
    spec = importlib.util.spec_from_file_location("simulated_devices", FILE)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look themselves up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fleet_of():
    """Makes a fleet of simulated devices: a name each, with labels."""

    def make(labels, **settings):
        found = [
            {"name": name, "target": f"simulated://{name}", "labels": of_device} for name, of_device in labels.items()
        ]
        return parse_fleet({"devices": found, **settings}, "fleet.toml")

    return make
