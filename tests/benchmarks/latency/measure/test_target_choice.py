"""What to ship to targets that stand for chips."""

import pytest

from pocketvae.benchmarks import BenchConfig, Constraints, recommend_on_targets
from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.latency.measure import target_choice as module
from pocketvae.benchmarks.targets import Target
from pocketvae.errors import SpecError
from pocketvae.spec import Component


class Npu(Target):
    """This machine as an NPU whose compiler estimates the time."""

    name, summary = "npu", "an NPU"

    def unavailable(self):
        return None

    def open(self, bundle):
        return NpuRun(bundle)

    def measures_time(self):
        return False


class NpuRun(HostRun):
    def figures(self, artifact):
        return {"npu_share": 1.0, "estimated_s": 1e-3}


@pytest.fixture
def ask(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(module, "make_target", lambda name: Npu())

    def run(**constraints):
        bundle = tmp_path / "b"
        bundle = bundle if bundle.exists() else bundles.make_bundle(bundle)
        return recommend_on_targets(bundle, ["npu"], BenchConfig(threads=(1,)), Constraints(**constraints))

    return run


def test_a_file_is_named_with_its_estimated_time(ask):
    (found,) = ask().on_targets
    assert (found.artifact, found.target, found.rejected) == ("decoder.float32.onnx", "npu", ())
    assert "runs on the NPU as a whole, takes 1000 µs estimated. No other file qualifies" in found.why


def test_an_estimate_counts_against_a_limit(ask):
    (found,) = ask(target_s=5e-4).on_targets
    assert found.artifact is None
    assert [item.reason for item in found.rejected] == ["it takes 1000 µs estimated, but the target is 0.5 ms"]


def test_a_time_that_is_not_known_meets_no_limit(ask, monkeypatch):
    monkeypatch.setattr(NpuRun, "figures", lambda self, artifact: {"npu_share": 1.0})
    assert ask().on_targets[0].artifact == "decoder.float32.onnx"
    (found,) = ask(target_s=5e-4).on_targets
    assert found.artifact is None
    reason = "how long it takes there is not known, but the target is 0.5 ms"
    assert [item.reason for item in found.rejected] == [reason]


def test_a_target_that_is_not_there_is_not_a_failure_of_the_files(ask, monkeypatch):
    monkeypatch.setattr(Npu, "unavailable", lambda self: "npu is not set up")
    (found,) = ask().on_targets
    assert (found.artifact, found.why) == (None, "no file could be run there")
    assert [item.reason for item in found.rejected] == ["npu is not set up"]


def test_a_limit_on_another_component_is_not_used(ask, tmp_path):
    (tmp_path / "pocketvae.toml").write_text('[limits."encoder.*".posterior]\nkl_mean = 0.1\n')
    assert ask().on_targets[0].artifact == "decoder.float32.onnx"


def test_a_limit_on_nothing_is_refused(ask, tmp_path):
    (tmp_path / "pocketvae.toml").write_text('[limits."encodr.*".posterior]\nkl_mean = 0.1\n')
    with pytest.raises(SpecError, match="unknown artifact"):
        ask()


def test_a_component_that_is_missing_is_refused(ask):
    with pytest.raises(SpecError, match="the bundle has no generator to recommend"):
        ask(component=Component.GENERATOR)
