"""The target `rknn`: what Rockchip's NPUs do not take is said before anything runs."""

import pytest

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.benchmarks.targets import make_target
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError


@pytest.mark.parametrize(
    ("name", "artifact", "reason"),
    [
        ("rknn", "decoder.float32.onnx", ""),
        ("rknn:rk3576", "decoder.int8.onnx", ""),
        ("rknn", "decoder.int8.tflite", "the target rknn runs ONNX files"),
        ("rknn", "decoder.dynamic_int8.onnx", "RKNN does not support DynamicQuantizeLinear: use the int8 file"),
        ("rknn", "decoder.int16x8.onnx", "RKNN does not support opset 21, in which ONNX has 16-bit integers"),
        ("rknn", "sampler.float32.onnx", "RKNN does not support shifts and exclusive or"),
        ("rknn:rv1106", "decoder.float32.onnx", "rv1106 computes integers alone: use the int8 file"),
        ("rknn:rv1106", "decoder.int8.onnx", ""),
    ],
)
def test_what_is_not_taken_is_left_out_by_name(name, artifact, reason, tiny_bundle):
    found = make_target(name).declines(open_bundle(tiny_bundle).manifest.artifact(artifact))
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_floats_are_held_to_half_precision(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifact("decoder.float32.onnx")
    assert make_target("rknn").judged(bundle, artifact) == judged_in_half_precision(bundle, artifact) != artifact


def test_an_unknown_chip_is_refused_with_a_close_match():
    with pytest.raises(SpecError, match="unknown Rockchip chip 'rk3858': did you mean 'rk3588'"):
        make_target("rknn:rk3858")
