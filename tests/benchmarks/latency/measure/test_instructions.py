import shutil
from dataclasses import replace

import numpy as np
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
    decoder = artifact_load(bundle, bundle.manifest.artifact("decoder.float32.onnx"), 1, 1)
    # Ten thousand times the weights: a call of few is mostly what every call takes.
    weight = np.ones((bundles.LATENT, 600 * 600), np.float32)
    (tmp_path / "large.onnx").write_bytes(bundles.decoder_model(weight, shape=(600, 600, 1)).SerializeToString())
    large = replace(decoder, path=str(tmp_path / "large.onnx"))
    first, again, more = (count_instructions(load) for load in (decoder, decoder, large))
    # Where the system puts memory differs from process to process, which is some dozens of instructions of a call.
    assert first == pytest.approx(again, rel=0.01)
    assert first > 10_000
    assert more > 2 * first
