"""The noise of exported graphs is that of the numpy reference, bit for bit."""

import itertools

import numpy as np
import onnx
import onnx.reference
import pytest

from pocketvae.export.convert import noise_onnx, noise_tflite, tflite
from pocketvae.numerics.noise import normal_noise, uniform_codes
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format

EXTREMES = (-(2**31), -(2**31) + 1, -65536, -1, 0, 1, 65535, 2**30, 2**31 - 1)
DIMS = (1, 7, 16)


@pytest.fixture(scope="module")
def pairs():
    random = np.random.default_rng(0).integers(-(2**31), 2**31, (500, 2))
    return np.concatenate([list(itertools.product(EXTREMES, repeat=2)), random]).astype(np.int32)


def build(format, dim):
    if format is Format.ONNX:
        return noise_onnx.build_noise({"z": (dim,)})
    return tflite.convert_float32(noise_tflite.build_noise({"z": (dim,)}))


@pytest.mark.slow
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("format", Format)
def test_every_kernel_returns_the_same_bits(format, dim, pairs, tmp_path):
    path = tmp_path / f"noise.{format}"
    path.write_bytes(build(format, dim))
    expected = normal_noise(pairs[:, 0], pairs[:, 1], dim)
    for optimizations in Optimizations:
        with open_runner(path, format, optimizations=optimizations) as runner:
            found = [runner.run({"seed": pair[:1], "index": pair[1:]})["z"] for pair in pairs]
        assert np.concatenate(found).tobytes() == expected.tobytes(), optimizations


def test_several_latents_take_their_parts_of_one_stream():
    content = noise_onnx.build_noise({"a": (3,), "b": (2, 1, 2)})
    with open_runner(content, Format.ONNX) as runner:
        found = runner.run({"seed": np.array([7], np.int32), "index": np.array([-3], np.int32)})
    whole = normal_noise(7, -3, 7)
    assert found["a"].tobytes() == whole[:, :3].tobytes()
    assert found["b"].tobytes() == whole[:, 3:].tobytes()
    assert found["b"].shape == (1, 2, 1, 2)


@pytest.mark.parametrize("format", [Format.ONNX, pytest.param(Format.TFLITE, marks=pytest.mark.slow)])
def test_codes_and_noise_take_their_parts_of_one_stream(format):
    outputs, codes = {"a": (3,), "b": (2, 2)}, np.array([0] * 3 + [5] * 4, np.int32)
    if format is Format.ONNX:
        content = noise_onnx.build_noise(outputs, codes)
    else:
        content = tflite.convert_float32(noise_tflite.build_noise(outputs, codes))
    with open_runner(content, format) as runner:
        found = runner.run({"seed": np.array([7], np.int32), "index": np.array([-3], np.int32)})
        assert {name: spec.dtype for name, spec in runner.outputs.items()} == {"a": "float32", "b": "int32"}
    assert found["a"].tobytes() == normal_noise(7, -3, 7)[:, :3].tobytes()
    np.testing.assert_array_equal(found["b"], uniform_codes(7, -3, 7, 5)[:, 3:].reshape(1, 2, 2))


def test_the_onnx_graph_is_small_standard_and_the_same_every_time():
    content = noise_onnx.build_noise({"z": (16,)})
    assert content == noise_onnx.build_noise({"z": (16,)})
    graph = onnx.load_from_string(content).graph
    assert {node.domain for node in graph.node} == {""}
    # The blocks of all dimensions share their operators.
    assert len(graph.node) == len(onnx.load_from_string(noise_onnx.build_noise({"z": (256,)})).graph.node) < 260


class SignedShift(onnx.reference.op_run.OpRun):
    """BitShift as OpenVINO computes it: unsigned words have a sign, and to the right is a division in float32."""

    op_domain = ""

    def _run(self, words, amount, direction):
        if direction == "LEFT":
            return (words << amount,)
        quotient = words.view(np.int32).astype(np.float32) / np.float32(2.0 ** int(amount[0]))
        return (np.trunc(quotient).astype(np.int32).view(np.uint32),)


SignedShift.__name__ = "BitShift"


@pytest.mark.parametrize("dim", DIMS)
def test_shifts_that_are_divisions_of_signed_floats_give_the_same_bits(dim, pairs):
    graph = onnx.reference.ReferenceEvaluator(
        onnx.load_from_string(noise_onnx.build_noise({"z": (dim,)})), new_ops=[SignedShift]
    )
    some = pairs[::7]
    found = [graph.run(None, {"seed": pair[:1], "index": pair[1:]})[0] for pair in some]
    np.testing.assert_array_equal(np.concatenate(found), normal_noise(some[:, 0], some[:, 1], dim))
