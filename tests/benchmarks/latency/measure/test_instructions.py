import shutil

import pytest

from pocketvae.benchmarks import BenchConfig, Extra, bench_bundle
from pocketvae.benchmarks.latency.measure import instructions
from pocketvae.benchmarks.latency.measure.client_requests import requester
from pocketvae.benchmarks.latency.measure.instructions import count_instructions
from pocketvae.benchmarks.latency.measure.subjects import artifact_load
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import TargetError

needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")


@pytest.fixture
def send():
    """What sends a request; tests that need it are skipped on a processor that has none."""
    try:
        return requester()
    except TargetError as e:
        pytest.skip(str(e))


def test_a_missing_valgrind_is_told_before_anything_is_timed(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(instructions.shutil, "which", lambda name: None)
    config = BenchConfig(include_original=False, extras=frozenset([Extra.INSTRUCTIONS]))
    with pytest.raises(TargetError, match="valgrind is not installed"):
        bench_bundle(bundles.make_bundle(tmp_path / "b"), config)


@needs_valgrind
@pytest.mark.slow
def test_two_counts_agree_within_what_bench_allows_and_more_work_is_more(send, tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    decoder, encoder = (artifact_load(bundle, record, 1, 1) for record in bundle.manifest.artifacts)
    first, again, other = (count_instructions(load) for load in (decoder, decoder, encoder))
    # Where the system puts memory differs from process to process, which is some dozens of instructions of a call.
    assert first == pytest.approx(again, rel=0.01)
    assert first > 10_000
    assert other != first
