"""Latency on targets that run nothing."""

import pytest

from pocketvae.benchmarks import BenchConfig, bench_targets
from pocketvae.benchmarks.latency.measure import remote_latency
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.cli.main import main
from tests.picky_target import PickyTarget


@pytest.fixture
def picky(monkeypatch):
    target = PickyTarget()
    monkeypatch.setattr(remote_latency, "make_target", lambda name: target)
    return target


def test_a_target_that_supports_nothing_is_told(picky, bundles, tmp_path):
    result = bench_targets(bundles.make_bundle(tmp_path / "b"), ["picky"], BenchConfig())
    assert (result.elsewhere, result.not_run) == ((), ())
    assert result.warnings == ("nothing was timed on picky: it runs no ONNX",)


def test_a_target_that_is_not_set_up_is_not_run_whatever_it_supports(picky, bundles, tmp_path, few_values, capsys):
    picky.reason = "picky is not set up"
    path = bundles.make_bundle(tmp_path / "b")
    result = bench_targets(path, ["picky"], BenchConfig())
    assert result.not_run == (NotRun(artifact="all", target="picky", reason="picky is not set up"),)
    assert main(["bench", str(path), "--targets", "host,picky", "--no-original", "--quiet"]) == 3
    assert "not run: all (picky): picky is not set up" in capsys.readouterr().err
