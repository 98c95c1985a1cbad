import numpy as np
import pytest

from pocketvae.benchmarks.latency.measure import graph_onnx


@pytest.fixture
def decoder(tmp_path, bundles):
    return bundles.make_bundle(tmp_path / "b") / "decoder.float32.onnx", {"z": np.zeros((1, 3), np.float32)}


def test_a_profile_names_every_operator(decoder):
    profile = graph_onnx.profile("d", *decoder, 1)
    assert {operator.kind for operator in profile.operators} == {"MatMul", "Sigmoid", "Reshape"}


def test_operators_are_ranked_by_their_time():
    found = graph_onnx.ranked({("a", "Conv"): 1e-5, ("b", "MatMul"): 3e-5, ("c", "Cast"): 0.0})
    assert [(operator.name, operator.share) for operator in found] == [("b", 0.75), ("a", 0.25), ("c", 0.0)]
    # Calls that are shorter than the profiler's clock can tell.
    assert [operator.share for operator in graph_onnx.ranked({("a", "Conv"): 0.0})] == [0.0]
