"""A phone behind adb: scripted_adb.py is the phone; the runner is the real one, compiled and run on this machine."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.benchmarks import bench_targets, verify_bundle
from pocketvae.benchmarks.devices import DeviceState
from pocketvae.benchmarks.execution.target import THIS_MACHINE
from pocketvae.benchmarks.fleet.config import parse_fleet
from pocketvae.benchmarks.fleet.run import bench_fleet, verify_fleet
from pocketvae.benchmarks.latency.config import BenchConfig
from pocketvae.benchmarks.targets import make_target
from pocketvae.benchmarks.targets.android import AndroidRun
from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.manifest import FileRecord
from pocketvae.cli.main import main
from pocketvae.errors import ArtifactFault, SpecError, TargetError
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.litert import LiteRtRunner
from pocketvae.spec import Format

pytestmark = pytest.mark.posix


@pytest.mark.parametrize(("option", "close"), [("SERIAL?gpo", "gpu"), ("SERIAL?", "known: gpu"), ("?nnap", "nnapi")])
def test_an_unknown_accelerator_is_refused(option, close):
    with pytest.raises(SpecError, match=f"unknown accelerator .*{close}"):
        make_target(f"android:{option}")


def test_an_accelerator_has_no_kernels_of_the_runtime_and_no_threads_of_the_cpu():
    assert make_target("android:SERIAL").has_other_kernels
    assert not make_target("android:SERIAL?gpu").has_other_kernels
    run = AndroidRun.__new__(AndroidRun)
    run._name, run._accelerator, run._phone = "android:gpu", "gpu", SimpleNamespace(properties={})
    with pytest.raises(TargetError, match="the GPU does not compute with the CPU's threads: .* got 4"):
        run.latency(None, {}, num_threads=4)


def test_a_serial_number_is_no_option_of_adb():
    with pytest.raises(SpecError, match="a serial number must be one that adb devices lists, got '-a'"):
        make_target("android:-a")


def test_a_bundle_is_verified_there_and_nothing_is_left(phone, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    result = verify_bundle(bundle, targets=("host", "android"))
    assert result.passed, result.not_run
    there = {(check.artifact, check.metric): check.value for check in result.checks if check.target == "android"}
    here = {(check.artifact, check.metric): check.value for check in result.checks if check.target == "host"}
    assert there.keys() == here.keys()
    assert there == pytest.approx(here, abs=1e-6)
    assert phone.left_over() == []


@pytest.fixture
def tflite_bundle(tmp_path, bundles, tflite_models):
    """A bundle whose decoder is a TFLite file too."""
    bundle = open_bundle(bundles.make_bundle(tmp_path / "t"))
    artifact = bundle.manifest.artifact("decoder.float32.onnx")
    content = tflite_models.decoder(bundles._weights()["decoder"], bundles.SIDE)
    (bundle.path / "decoder.float32.tflite").write_bytes(content)
    file = FileRecord.of("decoder.float32.tflite", content)
    added = replace(artifact, format=Format.TFLITE, file=file)
    return replace(bundle, manifest=replace(bundle.manifest, artifacts=(added,)))


@pytest.mark.parametrize("optimizations", Optimizations)
def test_tflite_files_run_there_as_here(phone, tflite_bundle, optimizations):
    (artifact,) = tflite_bundle.manifest.artifacts
    inputs = tflite_bundle.goldens(artifact.component).inputs
    with make_target("android").open(tflite_bundle) as run:
        found = run.run(artifact, inputs, optimizations=optimizations, num_threads=2)
        assert run.facts()["litert"] == "2"
    with LiteRtRunner(tflite_bundle.path / artifact.file.path, num_threads=2, optimizations=optimizations) as runner:
        expected = runner.run_samples(inputs)
    np.testing.assert_array_equal(found["image"], expected["image"])


def test_a_gpu_that_is_not_there_is_told_with_what_the_runtime_says(phone, tflite_bundle):
    (artifact,) = tflite_bundle.manifest.artifacts
    said = "android:gpu: LiteRT's GPU accelerator does not load it"
    with make_target("android:gpu").open(tflite_bundle) as run, pytest.raises(TargetError, match=said):
        run.run(artifact, tflite_bundle.goldens(artifact.component).inputs)


def test_times_are_measured_there_on_the_fastest_cores(phone, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    result = bench_targets(bundle, ["android"], BenchConfig(threads=(1,)))
    assert result.not_run == ()
    assert [row.artifact for row in result.elsewhere] == ["decoder.float32.onnx", "encoder.float32.onnx"]
    row = result.elsewhere[0]
    assert len(row.values_s) == 200
    assert 0 < row.median_s <= row.p90_s <= row.p99_s
    assert row.load_s > 0
    assert "before 31.2 °C; after 31.2 °C" in row.warnings
    runs = [words[-1] for words in phone.calls if "./runner" in words[-1]]
    assert runs
    assert all("response.bin 1)" in script.replace("'", "") for script in runs)


TIMINGS = """INFO: Loaded model decoder.float32.tflite
INFO: Inference timings in us: Init: 4103, First inference: 512, Warmup (avg): 341.2, Inference (avg): 287.125
"""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            f"cat <<'END'\n{TIMINGS}END",
            "LiteRT's benchmark_model: 287.1 µs on average of 50 calls or more, first call 512",
        ),
        ("echo 'unknown flag'; exit 1", "LiteRT's benchmark_model failed: unknown flag"),
        ("true", "LiteRT's benchmark_model printed no timings"),
    ],
)
def test_litert_s_own_program_is_noted_beside_our_times(phone, tflite_bundle, monkeypatch, script, said):
    phone.program("taskset", 'test "$1" = 2 && shift && exec "$@"')
    monkeypatch.setenv("POCKETVAE_ANDROID_BENCHMARK_MODEL", str(phone.program("benchmark_model", script)))
    (artifact,) = tflite_bundle.manifest.artifacts
    with make_target("android").open(tflite_bundle) as run:
        run.latency(artifact, tflite_bundle.goldens(artifact.component).inputs, count=3)
        assert run.remarks(artifact)[0].startswith(said)


def test_a_throttled_phone_is_told(phone, tmp_path, bundles):
    phone.add_cores({1: (2_400_000, 1_200_000)})
    phone.program("dumpsys", "echo 'Thermal Status: 2'")
    result = bench_targets(bundles.make_bundle(tmp_path / "b"), ["android"], BenchConfig(threads=(1,)))
    notes = result.elsewhere[0].warnings
    assert (
        "before temperature unknown, thermal status moderate, fast cores limited to 50% of their frequency" in notes[-2]
    )
    assert notes[-1] == "the phone was throttled while it was timed: let it cool, and run it again"


def test_an_emulator_is_not_timed(phone, tmp_path, bundles):
    phone.set_properties({"ro.boot.qemu": "1"})
    result = bench_targets(bundles.make_bundle(tmp_path / "b"), ["android"], BenchConfig(threads=(1,)))
    assert result.elsewhere == ()
    assert {item.reason for item in result.not_run} == {
        "android: an emulator's latency says nothing about a phone, so it is not measured"
    }


def test_what_runs_there_is_told(phone, tmp_path, bundles):
    with make_target(f"android:{phone.serial}").open(open_bundle(bundles.make_bundle(tmp_path / "b"))) as run:
        facts = run.facts()
    assert facts.pop("onnxruntime")
    assert facts.pop("machine").startswith("Linux ")
    facts.pop("litert", None)
    assert facts == {"phone": "Tests Folder 1", "chip": "T1000", "android": "14", "cores": "1"}


def test_a_file_that_cannot_be_loaded_is_a_fault_of_the_artifact(phone, tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    inputs = bundle.goldens(artifact.component).inputs
    with make_target("android").open(bundle) as run:
        (copies,) = phone.left_over()
        (copies / artifact.file.path).write_bytes(b"no model")
        with pytest.raises(ArtifactFault, match="onnxruntime cannot load it: .*Protobuf"):
            run.run(artifact, inputs)
        other = replace(artifact, outputs=tuple(replace(item, name="picture") for item in artifact.outputs))
        (copies / artifact.file.path).write_bytes((bundle.path / artifact.file.path).read_bytes())
        with pytest.raises(ArtifactFault, match="outputs must be \\['picture'\\], got \\['image'\\]"):
            run.run(other, {name: values[:1] for name, values in inputs.items()})


def test_several_samples_in_one_call_and_a_batch_that_is_not_full(phone, tmp_path, bundles):
    weight = bundles._weights()["decoder"]
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(weight, batch="N")))
    artifact = replace(bundle.manifest.artifact("decoder.float32.onnx"), batches=(1, 8))
    goldens = bundle.goldens(artifact.component)
    with make_target("android").open(bundle) as run:
        found = run.run(artifact, goldens.inputs, batch=8)
    np.testing.assert_allclose(found["image"], goldens.outputs["image"], atol=1e-5)


def test_a_phone_that_is_unplugged_keeps_what_was_done(phone, tmp_path, bundles, monkeypatch):
    monkeypatch.setattr("pocketvae.benchmarks.remote.response_cache._PAUSES_S", (0.0,))
    bundle = bundles.make_bundle(tmp_path / "b")
    # The copies, the greeting and the first artifact.
    phone.fail(push=f"3 adb: error: failed to get feature set: device '{phone.serial}' not found")
    words = ["verify", str(bundle), "--targets", "android", "--json", str(tmp_path / "v.json"), "--quiet"]
    assert main(words) == 3
    said = json.loads((tmp_path / "v.json").read_text())
    assert {check["artifact"] for check in said["checks"]} == {"decoder.float32.onnx"}
    assert [item["artifact"] for item in said["not_run"]] == ["encoder.float32.onnx"]
    assert (
        f"device '{phone.serial}' not found; 1 results are kept, and the same command" in said["not_run"][0]["reason"]
    )
    assert len(phone.left_over()) == 1
    phone.fail()
    before = len(phone.calls)
    assert main(words) == 0
    assert sum(words[2] == "push" for words in phone.calls[before:] if words[0] == "-s") == 2
    assert phone.left_over() == []


def test_phones_are_devices_of_a_fleet(phone, tmp_path, bundles):
    """Two accelerators of one phone take turns; a second phone is not connected."""
    targets = {"cpu": f"android:{phone.serial}", "xnnpack": f"android:{phone.serial}?xnnpack", "lost": "android:R9"}
    fleet = parse_fleet(
        {"devices": [{"name": name, "target": target} for name, target in targets.items()]}, "fleet.toml"
    )
    bundle = bundles.make_bundle(tmp_path / "b")
    found = {device.name: device for device in verify_fleet(bundle, fleet).result.fleet.devices}
    assert found["cpu"].state is DeviceState.DONE
    # The library of this machine's package may have it or not.
    assert found["xnnpack"].state is DeviceState.DONE or "cannot use xnnpack on this device" in found["xnnpack"].reason
    assert (found["lost"].state, found["lost"].reason) == (
        DeviceState.LOST,
        f"no device 'R9' is connected: known: {phone.serial}",
    )
    timed = bench_fleet(bundle, fleet, BenchConfig(artifacts=("decoder.*",))).result
    assert [row.target for row in timed.elsewhere if row.target == "cpu"] == ["cpu"]
    assert phone.left_over() == []


def test_phones_work_at_the_same_time(phone, tmp_path, bundles):
    serials = ("A1", "B2", "C3")
    phone.connect(dict.fromkeys(serials, "device"))
    devices = [{"name": serial, "target": f"android:{serial}", "labels": {"model": "m"}} for serial in serials]
    result = verify_fleet(bundles.make_bundle(tmp_path / "b"), parse_fleet({"devices": devices}, "fleet.toml")).result
    assert result.passed, result.not_run
    assert {item.devices for item in result.fleet.parity} == {3}
    calls = [words[1] for words in phone.calls if words[0] == "-s"]
    # The last one begins before the first one ends.
    assert calls.index("C3") < len(calls) - 1 - calls[::-1].index("A1")
    assert phone.left_over() == []


def test_which_machine_a_phone_is():
    assert make_target("android:A1").machine() == make_target("android:A1?gpu").machine() != THIS_MACHINE
    assert make_target("android:A1").machine() != make_target("android:B2").machine()
    for serial in ("emulator-5554", "localhost:5555", "127.0.0.1:6555"):
        assert make_target(f"android:{serial}").machine() == THIS_MACHINE


def test_a_full_phone_is_told(phone, tmp_path, bundles, capsys):
    phone.fail(push="adb: error: failed to copy 'runner' to '/data': remote write failed: No space left on device")
    assert main(["verify", str(bundles.make_bundle(tmp_path / "b")), "--targets", "android", "--quiet"]) == 3
    assert f"no space is left on {phone.serial}" in capsys.readouterr().out
    assert phone.left_over() == []


def test_a_runner_that_crashes_costs_one_artifact(phone, tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    first, second = bundle.manifest.artifacts
    with make_target("android").open(bundle) as run:
        (copies,) = phone.left_over()
        runner = (copies / "runner").read_bytes()
        (copies / "runner").write_bytes(b"#!/bin/sh\nkill -SEGV $$\n")
        with pytest.raises(TargetError, match="android: its process was ended by a crash"):
            run.run(first, bundle.goldens(first.component).inputs)
        (copies / "runner").write_bytes(runner)
        assert "z_mean" in run.run(second, bundle.goldens(second.component).inputs)


def test_a_runner_that_hangs_is_ended(phone, tmp_path, bundles, monkeypatch):
    monkeypatch.setattr("pocketvae.benchmarks.remote.channel._JOB_TIME_LIMIT_S", 1.0)
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    with make_target("android").open(bundle) as run:
        (copies,) = phone.left_over()
        (copies / "runner").write_bytes(b"#!/bin/sh\nexec sleep 30\n")
        with pytest.raises(TargetError, match="android: it took longer than 1 s and was ended"):
            run.run(artifact, bundle.goldens(artifact.component).inputs)
        assert "kill -9" in phone.calls[-1][-1]


def test_a_library_that_is_missing_is_named(phone, tmp_path, bundles, monkeypatch):
    empty = tmp_path / "libraries"
    empty.mkdir()
    (empty / "libother.so").write_bytes(b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little"))
    monkeypatch.setenv("POCKETVAE_ANDROID_LIBRARIES", str(empty))
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"), targets=("android",))
    assert result.checks == ()
    assert all("libonnxruntime.so cannot be loaded" in item.reason for item in result.not_run)


def test_an_accelerator_that_the_library_does_not_have_is_not_run(phone, tmp_path, bundles):
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"), targets=("android:nnapi",))
    assert result.checks == ()
    assert all("this libonnxruntime.so does not have NNAPI" in item.reason for item in result.not_run)


def test_an_accelerator_declines_what_it_does_not_take(tmp_path, bundles):
    artifact = open_bundle(bundles.make_bundle(tmp_path / "b")).manifest.artifacts[0]
    assert make_target("android:gpu").declines(artifact) == "gpu on a phone runs TFLite files"
    assert make_target("android:X1?qnn").declines(artifact) == ""


@pytest.mark.parametrize(
    ("states", "name", "said"),
    [
        ({}, "android", "no device is connected: connect a phone with USB debugging on"),
        ({"A1": "device", "B2": "device"}, "android", "several devices are connected: name one .*known: A1, B2"),
        ({"R3TEST0001": "device"}, "android:R3TEST001", "no device 'R3TEST001' .*did you mean 'R3TEST0001'"),
        ({"A1": "unauthorized"}, "android", "A1 is unauthorized: unlock it and allow USB debugging"),
        ({"A1": "offline"}, "android:A1", "A1 is offline: reconnect it"),
        ({"A1": "no permissions (user in plugdev group); see [url]"}, "android", "A1 is no permissions: this user may"),
        ({"A1": "recovery"}, "android", "A1 is recovery: it must be started normally"),
    ],
)
def test_a_phone_that_cannot_be_used_is_told(phone, capsys, states, name, said):
    phone.connect(states)
    assert make_target(name).unavailable() is None
    with pytest.raises(TargetError, match=said):
        make_target(name)._parts()
    assert main(["targets", "list", name]) == 3


def test_a_program_that_is_not_adb_is_told(phone, tmp_path, monkeypatch):
    program = tmp_path / "other"
    program.write_text("#!/bin/sh\necho usage: other FILE\n")
    program.chmod(0o755)
    monkeypatch.setenv("POCKETVAE_ADB", str(program))
    said = "other is not adb: adb devices must print 'List of devices attached', got 'usage: other FILE'"
    with pytest.raises(TargetError, match=said):
        make_target("android")._parts()


def test_all_that_is_missing_is_told_at_once(tmp_path, monkeypatch):
    for name in ("POCKETVAE_ADB", "ANDROID_HOME", "ANDROID_SDK_ROOT", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("POCKETVAE_ANDROID_LIBRARIES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = make_target("android").unavailable()
    assert [part.partition(" ")[0] for part in reason.split("; ")] == ["adb", "Android's", "set"]


def test_a_phone_of_another_machine_is_told(phone, monkeypatch):
    phone.set_properties({"ro.product.cpu.abilist": "riscv64"})
    with pytest.raises(TargetError, match="R3TEST0001 must be one of arm64-v8a, x86_64.*, got riscv64"):
        make_target("android")._parts()
