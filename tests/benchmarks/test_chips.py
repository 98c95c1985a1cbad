"""What a bundle's files are tried with on the chips that an export is for."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pocketvae.benchmarks import chips as module
from pocketvae.benchmarks import require_chips, try_on_chips
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import TargetError
from pocketvae.portability.chips import parse_chips


@pytest.fixture
def bundle(tmp_path, bundles):
    return open_bundle(bundles.make_bundle(tmp_path / "b"))


def test_a_processor_is_served_by_what_stays_within_its_limits(bundle):
    (record,) = try_on_chips(bundle, parse_chips(["cpu"]))
    assert record.artifacts == ("decoder.float32.onnx", "encoder.float32.onnx")
    assert record.decided_by == "LiteRT and onnxruntime on this machine"
    assert [trial.reason.partition(",")[0] for trial in record.trials] == ["taken whole"] * 2
    strict = replace(bundle.manifest.artifacts[0].tolerances[0], limit=-1.0)
    artifacts = (replace(bundle.manifest.artifacts[0], tolerances=(strict,)), bundle.manifest.artifacts[1])
    (record,) = try_on_chips(
        replace(bundle, manifest=replace(bundle.manifest, artifacts=artifacts)), parse_chips(["cpu"])
    )
    assert record.artifacts == ("encoder.float32.onnx",)
    assert record.trials[0].reason.startswith("image max_abs: ")


def test_a_chip_without_files_has_no_trials(bundle):
    assert [record.trials for record in try_on_chips(bundle, parse_chips(["gpu", "hexagon"]))] == [(), ()]


@pytest.mark.parametrize(
    ("left", "serves", "reason"),
    [
        ((), True, "taken whole, estimated 1,200 cycles, 0.00 of its limits"),
        (("QUANTIZE",), True, "all but its float interface on the NPU, estimated 1,200 cycles, 0.00 of its limits"),
        (("ADD", "QUANTIZE", "ADD"), False, "3 of 9 operators stay on the CPU: ADD"),
    ],
)
def test_only_an_interface_may_stay_on_the_cpu(bundle, monkeypatch, left, serves, reason):
    estimate = SimpleNamespace(
        left=[SimpleNamespace(operator=name) for name in left],
        operators=[0] * 9,
        cycles=1200,
        figures=lambda: {"estimated_cycles": 1200.0},
    )
    monkeypatch.setattr(module, "compile_for", lambda chip, content, name: estimate)
    artifact = bundle.manifest.artifacts[0]
    (chip,) = parse_chips(["ethos-u55-128"])
    trial = module._trial(chip, artifact, bundle, SimpleNamespace(not_run=(), declined=(), checks=()))
    assert (trial.serves, trial.reason) == (serves, reason)
    assert trial.figures == {"estimated_cycles": 1200.0}


def test_what_fails_to_compile_does_not_serve(bundle, monkeypatch):
    def fails(chip, content, name):
        raise TargetError("vela took more than 120 s")

    monkeypatch.setattr(module, "compile_for", fails)
    (chip,) = parse_chips(["ethos-u55-128"])
    found = SimpleNamespace(not_run=(), declined=(), checks=())
    trial = module._trial(chip, bundle.manifest.artifacts[0], bundle, found)
    assert (trial.serves, trial.reason) == (False, "vela took more than 120 s")


def test_a_simulator_that_is_missing_is_said_before_any_work(monkeypatch):
    missing = SimpleNamespace(unavailable=lambda: "onnxruntime-qnn is not set up")
    monkeypatch.setattr(module, "make_target", lambda name: missing)
    with pytest.raises(
        TargetError, match="hexagon:v75: onnxruntime-qnn is not set up; gpu: onnxruntime-qnn is not set up"
    ):
        require_chips(parse_chips(["hexagon:v75", "gpu"]))
