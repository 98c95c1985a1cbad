"""What verify makes of what a target does."""

import pytest

from pocketvae.benchmarks import verify_bundle
from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.parity import verify as verify_module
from pocketvae.benchmarks.targets import ArtifactFault, Target, TargetRun, known_targets, make_target
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError, TargetError


class Fake(Target):
    """Runs on this machine until it is told otherwise."""

    name = "fake"

    def __init__(self, *, reason=None, error=None, fail_at=0):
        self.reason, self.error, self.fail_at = reason, error, fail_at
        self.opened, self.closed = 0, 0

    def unavailable(self):
        return self.reason

    def open(self, bundle):
        self.opened += 1
        return FakeRun(self, bundle)


class FakeRun(TargetRun):
    def __init__(self, target, bundle):
        self.target, self.host, self.calls = target, HostRun(bundle), 0

    def run(self, artifact, inputs, **options):
        self.calls += 1
        if self.target.error is not None and self.calls > self.target.fail_at:
            raise self.target.error
        return self.host.run(artifact, inputs, **options)

    def close(self):
        self.target.closed += 1


@pytest.fixture
def run_on(tmp_path, bundles, monkeypatch):
    def run(target, targets=("fake",)):
        path = tmp_path / "b"
        if not path.exists():
            bundles.make_bundle(path)
        monkeypatch.setattr(verify_module, "make_target", lambda name: target if name == "fake" else make_target(name))
        return verify_bundle(path, targets=targets)

    return run


def test_a_target_that_works_passes_and_is_closed(run_on):
    target = Fake()
    result = run_on(target)
    assert result.passed
    assert {check.target for check in result.checks} == {"fake"}
    assert (target.opened, target.closed) == (1, 1)


def test_a_target_that_cannot_be_used_is_not_opened_and_costs_no_other_targets_results(run_on):
    target = Fake(reason="no browser is installed: pocketvae targets setup fake")
    result = run_on(target, ("fake", "host"))
    assert not result.passed
    assert target.opened == 0
    assert [(item.target, item.reason) for item in result.not_run] == [("fake", target.reason)] * 2
    assert {check.target for check in result.checks} == {"host"}
    assert all(check.passed for check in result.checks)


def test_a_target_that_goes_in_the_middle_keeps_what_it_did(run_on):
    target = Fake(error=TargetError("the connection was lost"), fail_at=1)
    result = run_on(target)
    assert {check.artifact for check in result.checks} == {"decoder.float32.onnx"}
    assert [(item.artifact, item.reason) for item in result.not_run] == [
        ("encoder.float32.onnx", "the connection was lost")
    ]
    assert not result.passed
    assert target.closed == 1


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("loads", {"loads": False}),
        ("interface", {"loads": True, "interface": False}),
        ("runs", {"loads": True, "interface": True, "runs": False}),
    ],
)
def test_an_artifact_at_fault_fails_the_stage_it_reached(run_on, stage, expected):
    result = run_on(Fake(error=ArtifactFault(stage, "broken"), fail_at=1))
    found = {c.metric: c.passed for c in result.checks if c.artifact == "encoder.float32.onnx"}
    assert found == expected
    assert not result.passed
    assert result.not_run == ()


def test_targets_are_known_by_name():
    assert "host" in known_targets()
    assert make_target("host").unavailable() is None
    with pytest.raises(SpecError, match="unknown target 'hsot': did you mean 'host'"):
        make_target("hsot")


def test_kernels_and_threads_reach_the_runtime(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    goldens = bundle.goldens(artifact.component)
    with make_target("host").open(bundle) as run, pytest.raises(SpecError, match="num_threads must be at least 1"):
        run.run(artifact, goldens.inputs, num_threads=0)
