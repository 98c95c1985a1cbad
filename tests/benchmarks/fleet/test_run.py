"""verify and bench on forty devices that are not there, some of them slow, lost or wrong."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.benchmarks import BenchConfig, verify_bundle
from pocketvae.benchmarks.devices import DeviceState
from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.execution.running import Latency
from pocketvae.benchmarks.fleet import config as config_module
from pocketvae.benchmarks.fleet import schedule
from pocketvae.benchmarks.fleet.config import parse_fleet
from pocketvae.benchmarks.fleet.run import bench_fleet, is_rest, verify_fleet
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.results import Verdict
from pocketvae.benchmarks.targets.host import HostTarget
from pocketvae.documents import decode, encode
from pocketvae.errors import SpecError


def labels(count=40, models=("pixel-6", "pi-5")):
    return {f"d{number:02d}": {"model": models[number % len(models)]} for number in range(count)}


def test_every_device_has_the_checks_that_one_target_has(fleet_of, devices, bundles, tmp_path):
    bundle = bundles.make_bundle(tmp_path / "b")
    with devices.simulated({}) as gauge:
        found = verify_fleet(bundle, fleet_of(labels(), at_once=5)).result
    assert gauge.most <= 5
    assert found.passed
    alone = {(check.artifact, check.metric): check.value for check in verify_bundle(bundle).checks}
    for name in labels():
        assert {(check.artifact, check.metric): check.value for check in found.checks if check.target == name} == alone
    assert [device.name for device in found.fleet.devices] == list(labels())
    assert {device.state for device in found.fleet.devices} == {DeviceState.DONE}
    assert {(item.model, item.devices, item.failed) for item in found.fleet.parity} == {
        ("pixel-6", 20, ()),
        ("pi-5", 20, ()),
    }
    assert decode(type(found), encode(found), "result") == found


def test_lost_and_slow_devices_cost_only_themselves(fleet_of, devices, bundles, tmp_path):
    behaviours = {
        "d03": devices.Behaviour(lost_after=0),
        "d07": devices.Behaviour(lost_after=2),
        "d11": devices.Behaviour(hangs=True),
    }
    with devices.simulated(behaviours) as gauge:
        fleet = fleet_of(labels())
        # Of the others a busy machine must not end the time.
        limited = [replace(device, time_limit_s=1.0 if device.name == "d11" else 600.0) for device in fleet.devices]
        found = verify_fleet(bundles.make_bundle(tmp_path / "b"), replace(fleet, devices=tuple(limited))).result
    states = {device.name: (device.state, device.reason) for device in found.fleet.unfinished}
    assert states == {
        "d03": (DeviceState.LOST, "the cable was pulled"),
        "d07": (DeviceState.PARTIAL, "1 artifact: the cable was pulled"),
        "d11": (DeviceState.LOST, "its time limit of 1 s was over"),
    }
    assert not found.passed
    # Of its two artifacts one ran: the other may be at fault.
    assert not any(device.lost_midway for device in found.fleet.devices)
    assert {item.target for item in found.not_run} == set(states)
    assert all(check.passed for check in found.checks)
    assert len({check.target for check in found.checks}) == 38
    assert gauge.open == []


def test_a_wrong_file_is_told_by_model(fleet_of, devices, bundles, tmp_path):
    decoder = bundles.decoder_model(np.zeros_like(bundles.right_weight()))
    with devices.simulated({}):
        found = verify_fleet(bundles.make_bundle(tmp_path / "b", decoder=decoder), fleet_of(labels(4))).result
    failed = {(item.model, item.artifact): item.failed for item in found.fleet.parity if item.failed}
    assert failed == {
        ("pixel-6", "decoder.float32.onnx"): ("d00", "d02"),
        ("pi-5", "decoder.float32.onnx"): ("d01", "d03"),
    }


def test_latencies_are_told_by_model_with_their_outliers(fleet_of, devices, bundles, tmp_path):
    behaviours = {name: devices.Behaviour(times=1 + 0.01 * (number % 4)) for number, name in enumerate(labels())}
    behaviours["d05"].times = 2.0
    with devices.simulated(behaviours) as gauge:
        found = bench_fleet(
            bundles.make_bundle(tmp_path / "b"), fleet_of(labels()), BenchConfig(artifacts=("dec*",))
        ).result
    assert gauge.most <= 8
    slow, fast = sorted(found.fleet.latency, key=lambda item: -len(item.outliers))
    assert (slow.model, fast.model, len(slow.medians_s)) == ("pi-5", "pixel-6", 20)
    assert [outlier.device for outlier in slow.outliers] == ["d05"]
    assert slow.outliers[0].ratio == pytest.approx(2.0 / 1.02, rel=0.02)
    assert fast.outliers == ()
    assert {row.artifact for row in found.elsewhere} == {"decoder.float32.onnx"}
    assert decode(type(found), encode(found), "result") == found


def test_what_is_wrong_with_all_is_said_before_any_device_is_touched(fleet_of, devices, bundles, tmp_path):
    bundle, config = bundles.make_bundle(tmp_path / "b"), tmp_path / "limits.toml"
    config.write_text('[limits."nothing.*".image]\nmax_abs = 1\n')
    with devices.simulated({}) as gauge:
        fleet = fleet_of(labels(3))
        with pytest.raises(SpecError, match="unknown artifact"):
            bench_fleet(bundle, fleet, BenchConfig(artifacts=("decodr.*",)))
        with pytest.raises(SpecError, match="unknown artifact"):
            verify_fleet(bundle, fleet, config=config)
        with pytest.raises(SpecError, match="threads must be at least 1"):
            verify_fleet(bundle, fleet, num_threads=0)
    assert gauge.together == []


def test_a_device_without_times_is_named(bundles, tmp_path):
    device = {"name": "board", "target": "arm64"}
    fleet = parse_fleet({"devices": [{"name": "desk", "target": "host"}, device]}, "fleet.toml")
    with pytest.raises(SpecError, match=r"^device board: arm64 only checks parity: .* leave it out of bench: --select"):
        bench_fleet(bundles.make_bundle(tmp_path / "b"), fleet, BenchConfig())


def test_an_interruption_leaves_the_results_so_far(fleet_of, devices, bundles, tmp_path):
    def interrupt(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with devices.simulated({}):
        fleet = fleet_of(labels(6), at_once=1)
        found = verify_fleet(bundles.make_bundle(tmp_path / "b"), fleet, progress=interrupt)
    assert found.interruption is not None
    assert [device.state for device in found.result.fleet.devices] == [DeviceState.DONE] * 2 + [DeviceState.LOST] * 4
    assert len(found.result.not_run) == 8
    assert {item.reason for item in found.result.not_run} <= {"interrupted", "interrupted before it began"}


class StuckRun(HostRun):
    """Runs decoders, and then hangs."""

    def __init__(self, bundle, at_encoder, release):
        super().__init__(bundle)
        self.at_encoder, self.release = at_encoder, release

    def run(self, artifact, inputs, **options):
        if artifact.component == "encoder":
            self.at_encoder()
            self.release.wait(60)
        return super().run(artifact, inputs, **options)

    def latency(self, artifact, inputs, **options):
        if artifact.component == "encoder":
            self.at_encoder()
            self.release.wait(60)
        return Latency(load_s=0.1, first_s=0.1, values_s=(0.1,) * 30, loops=1)


@pytest.fixture
def stuck_fleet(monkeypatch):
    """Makes a fleet of one device that hangs at its encoder, where it calls what is given."""
    release = threading.Event()

    def make(at_encoder):
        target = HostTarget()
        monkeypatch.setattr(target, "open", lambda bundle: StuckRun(bundle, at_encoder, release))
        monkeypatch.setattr(config_module, "make_target", lambda name: target)
        monkeypatch.setattr(schedule, "_UNWIND_S", 0.05)
        monkeypatch.setattr(schedule, "_LOOK_S", 0.02)
        return parse_fleet({"devices": [{"name": "pixel", "target": "android:A"}]}, "fleet.toml")

    yield make
    release.set()


def test_a_failed_check_of_an_interrupted_device_is_kept(stuck_fleet, bundles, tmp_path):
    hangs = threading.Event()

    def interrupt(progress):
        if "decoder" in progress.detail:
            assert hangs.wait(60)
            raise KeyboardInterrupt

    bundle = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(np.zeros_like(bundles.right_weight())))
    found = verify_fleet(bundle, stuck_fleet(hangs.set), worst=tmp_path / "worst", progress=interrupt)
    assert found.interruption is not None
    assert found.result.verdict is Verdict.FAILED
    assert {check.artifact for check in found.result.checks} == {"decoder.float32.onnx"}
    assert found.result.not_run == (NotRun(artifact="encoder.float32.onnx", target="pixel", reason="interrupted"),)
    assert found.result.diagnoses
    (device,) = found.result.fleet.devices
    assert (device.state, device.reason) == (DeviceState.PARTIAL, "1 artifact: interrupted")
    assert [path.name for path in (tmp_path / "worst").iterdir()] == ["pixel"]


def test_what_went_wrong_after_all_had_run_is_told(stuck_fleet, bundles, tmp_path, monkeypatch):
    def fail(self):
        raise RuntimeError("its copies stay")

    monkeypatch.setattr(StuckRun, "close", fail)
    release = threading.Event()
    release.set()
    fleet = stuck_fleet(lambda: None)
    monkeypatch.setattr(fleet.devices[0].made(), "open", lambda bundle: StuckRun(bundle, lambda: None, release))
    found = verify_fleet(bundles.make_bundle(tmp_path / "b"), fleet).result
    assert {check.artifact for check in found.checks} == {"decoder.float32.onnx", "encoder.float32.onnx"}
    assert found.verdict is Verdict.INCOMPLETE
    (device,) = found.fleet.devices
    assert (device.state, device.reason) == (DeviceState.PARTIAL, "RuntimeError: its copies stay")


def test_what_a_device_that_is_given_up_has_done_counts(stuck_fleet, bundles, tmp_path, monkeypatch):
    def give_up():
        monkeypatch.setattr(schedule, "_GRACE_S", -1e6)

    bundle = bundles.make_bundle(tmp_path / "b")
    found = verify_fleet(bundle, stuck_fleet(give_up)).result
    reason = "it did not answer within its time limit of 1800 s"
    assert found.verdict is Verdict.INCOMPLETE
    assert {check.artifact for check in found.checks} == {"decoder.float32.onnx"}
    assert found.not_run == (NotRun(artifact="encoder.float32.onnx", target="pixel", reason=reason),)
    assert found.fleet.devices[0].state is DeviceState.PARTIAL


def test_what_a_device_that_is_given_up_has_timed_counts(stuck_fleet, bundles, tmp_path, monkeypatch):
    def give_up():
        monkeypatch.setattr(schedule, "_GRACE_S", -1e6)

    found = bench_fleet(bundles.make_bundle(tmp_path / "b"), stuck_fleet(give_up), BenchConfig()).result
    reason = "it did not answer within its time limit of 1800 s"
    assert [row.artifact for row in found.elsewhere] == ["decoder.float32.onnx"]
    assert found.not_run == (NotRun(artifact="encoder.float32.onnx", target="pixel", reason=reason),)
    assert found.fleet.devices[0].state is DeviceState.PARTIAL


@pytest.mark.parametrize(
    ("lost", "midway"), [("bc", True), ("c", False), ("b", False), ("ac", False), ("abc", True), ("", False)]
)
def test_a_device_is_lost_midway_where_nothing_ran_after(lost, midway):
    assert is_rest("abc", [NotRun(artifact=name, target="d", reason="gone") for name in lost]) is midway
