"""Fleets of devices that are not there."""

import pytest

from pocketvae.benchmarks.fleet.config import parse_fleet


@pytest.fixture
def fleet_of():
    """Makes a fleet of simulated devices: a name each, with labels."""

    def make(labels, **settings):
        found = [
            {"name": name, "target": f"simulated://{name}", "labels": of_device} for name, of_device in labels.items()
        ]
        return parse_fleet({"devices": found, **settings}, "fleet.toml")

    return make
