"""A device of a fleet as a target."""

import inspect

import pytest

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import Target
from pocketvae.benchmarks.fleet.device_target import DeviceTarget, _DeviceRun
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import TargetError
from pocketvae.processes.deadline import Deadline


@pytest.mark.parametrize(
    ("own", "base", "left"),
    [(DeviceTarget, Target, {"check", "setup", "remove", "entered"}), (_DeviceRun, TargetRun, set())],
)
def test_it_does_all_that_its_target_does(own, base, left):
    """A method that is added to targets and not here would have the default's answer."""
    names = {name for name, _ in inspect.getmembers(base, inspect.isfunction) if not name.startswith("_")}
    assert {name for name in names if name not in vars(own)} == left


def test_it_stops_when_the_time_is_over(devices, bundles, tmp_path):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    inputs = bundle.goldens(artifact.component).inputs
    gauge, deadline = devices.Gauge(), Deadline(60)
    target = DeviceTarget("desk", devices.SimulatedTarget("x", devices.Behaviour(), gauge), deadline)
    with target.open(bundle) as run:
        assert "image" in run.run(artifact, inputs)
        deadline.cut("interrupted")
        for call in (run.run, run.latency):
            with pytest.raises(TargetError, match="^interrupted$"):
                call(artifact, inputs)
        assert gauge.open == ["x"]
    assert gauge.open == []
    with pytest.raises(TargetError, match="^interrupted$"):
        target.open(bundle)


def test_another_error_says_what_it_said(devices, bundles, tmp_path):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    target = devices.SimulatedTarget("x", devices.Behaviour(lost_after=0), devices.Gauge())
    with pytest.raises(TargetError, match="the cable was pulled"):
        DeviceTarget("desk", target, Deadline(60)).open(bundle)
