"""What limits a layer's range: a head at the end, and nothing that looks like one before it."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pocketvae.export.convert.merge import merge_onnx
from pocketvae.export.convert.noise_onnx import build_noise
from pocketvae.export.quantize.onnx import (
    activation_ranges,
    calibrate,
    integer_layers,
    quantize_int16x8,
    quantize_static,
    weighted_layers,
)
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.tuning.names import LOGIT_BOUND
from pocketvae.formats.arithmetic import read_integer_share
from pocketvae.formats.onnx.model import load_model
from pocketvae.portability.requirements import oldest_runtime
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format


def model(head):
    """z -> MatMul -> swish -> MatMul -> ReLU6 -> MatMul -> head."""
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["a"], "first"),
        helper.make_node("Sigmoid", ["a"], ["s"], "s"),
        helper.make_node("Mul", ["a", "s"], ["swish"], "m"),
        helper.make_node("MatMul", ["swish", "w"], ["b"], "second"),
        helper.make_node("Clip", ["b", "zero", "six"], ["relu6"], "r"),
        helper.make_node("MatMul", ["relu6", "w"], ["c"], "third"),
        head,
    ]
    constants = {
        "zero": np.float32(0),
        "one": np.float32(1),
        "six": np.float32(6),
        "w": 5 * np.eye(2, dtype=np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 2))],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 2))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("head", "highest"),
    [
        (helper.make_node("Sigmoid", ["c"], ["image"], "head"), LOGIT_BOUND),
        (helper.make_node("Clip", ["c", "zero", "one"], ["image"], "head"), 1.0),
        (helper.make_node("Clip", ["c", "zero", "six"], ["image"], "head"), 6.0),
        (helper.make_node("Tanh", ["c"], ["image"], "head"), LOGIT_BOUND / 2),
    ],
)
def test_only_the_last_operator_is_a_head(head, highest):
    ranges = activation_ranges(model(head), {"z": np.array([[4.0, -4.0]], np.float32)})
    assert ranges["first"] == (-20.0, 20.0)
    assert ranges["second"][1] == 6.0  # its ReLU6 is no head, and bounds it all the same
    assert ranges["third"] == (0.0, highest)


def test_ranges_that_calibration_has_found_are_those_of_the_samples():
    samples = {"z": np.random.default_rng(1).normal(size=(16, 2)).astype(np.float32)}
    head = helper.make_node("Sigmoid", ["c"], ["image"], "head")
    found = calibrate(model(head), samples).ranges
    for layer, expected in activation_ranges(model(head), samples).items():
        assert found[layer] == pytest.approx(expected, rel=1e-6)


def test_ranges_that_are_known_are_not_measured_again():
    head = helper.make_node("Sigmoid", ["c"], ["image"], "head")
    ranges = activation_ranges(model(head), {"z": np.zeros((1, 2), np.float32)}, {"a": (-3.0, 2.0), "c": (-99.0, 1.0)})
    assert ranges == {"first": (-3.0, 2.0), "second": (0.0, 0.0), "third": (-LOGIT_BOUND, 1.0)}


@pytest.fixture(scope="module")
def wide():
    float32 = model(helper.make_node("Sigmoid", ["c"], ["image"], "head"))
    samples = {"z": np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)}
    return float32, samples, quantize_int16x8(float32, samples)


def test_activations_in_16_bits_are_standard_and_hold_what_8_bits_lose(wide):
    float32, samples, content = wide
    kinds = {tensor.data_type for tensor in load_model(content).graph.initializer}
    assert {TensorProto.UINT16, TensorProto.INT8} <= kinds
    assert {entry.version for entry in load_model(content).opset_import if entry.domain == ""} == {21}
    assert oldest_runtime(Format.ONNX, content).version == "1.18"
    outputs = []
    for file in (float32, content):
        with open_runner(file, Format.ONNX) as runner:
            outputs.append(runner.run_samples(samples)["image"])
    # What is left is what 8 bits of weights lose.
    np.testing.assert_allclose(outputs[1], outputs[0], atol=2e-3)
    assert read_integer_share(Format.ONNX, content).is_whole


def test_activations_in_16_bits_stay_in_the_graph(wide):
    """OpenVINO leaves roundings of 16 bits out, and with them a ReLU that is only a zero point of 0."""
    float32, _, content = wide
    kinds = [node.op_type for node in load_model(float32).graph.node if node.op_type in ("Relu", "Clip")]
    assert kinds
    assert [node.op_type for node in load_model(content).graph.node if node.op_type in ("Relu", "Clip")] == kinds


@pytest.mark.parametrize(("kind", "leading"), [("Gemm", ()), ("MatMul", ()), ("MatMul", (3,))])
def test_onnxruntime_does_not_round_the_activations_of_products_to_8_bits(kind, leading):
    """It does, as MatMulNBits, with weights as its quantizer lays them: 1.32.0 is then off by 0.03 here."""
    rng = np.random.default_rng(0)
    weights = numpy_helper.from_array(rng.normal(size=(64, 32)).astype(np.float32), "w")
    nodes = [helper.make_node(kind, ["z", "w"], ["a"], "first"), helper.make_node("Sigmoid", ["a"], ["image"], "s")]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, *leading, size))
        for name, size in (("z", 64), ("image", 32))
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weights])
    float32 = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    samples = {"z": rng.normal(size=(16, *leading, 64)).astype(np.float32)}
    content = quantize_int16x8(float32, samples)
    outputs = []
    for optimizations in Optimizations:
        with open_runner(content, Format.ONNX, optimizations=optimizations) as runner:
            outputs.append(runner.run_samples(samples)["image"])
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)
    assert read_integer_share(Format.ONNX, content).is_whole


def test_a_file_of_16_bits_joins_one_of_an_older_operator_set(wide):
    _, _, content = wide
    merged = merge_onnx(build_noise({"z": (2,)}), content, "z")
    assert [(entry.domain, entry.version) for entry in load_model(merged).opset_import] == [("", 21)]
    assert read_integer_share(Format.ONNX, merged).is_whole


def test_what_is_joined_to_a_layer_keeps_its_own_range():
    """a -> MatMul, small, -> Concat with b, large, -> MatMul."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["a", "small"], ["layer"], "first"),
        helper.make_node("Concat", ["layer", "b"], ["joined"], "join", axis=1),
        helper.make_node("MatMul", ["joined", "w"], ["image"], "second"),
    ]
    weights = {"small": 0.05 * np.eye(4, dtype=np.float32), "w": rng.normal(size=(8, 8)).astype(np.float32)}
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, size))
        for name, size in (("a", 4), ("b", 4), ("image", 8))
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", values[:2], values[2:], tensors)
    float32 = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    samples = {name: rng.normal(size=(32, 4)).astype(np.float32) for name in ("a", "b")}
    content = quantize_static(calibrate(float32, samples), QuantizationPlan())
    with open_runner(content, Format.ONNX) as runner:
        found = runner.run_samples(samples)["image"]
    expected = np.concatenate([samples["a"] @ weights["small"], samples["b"]], axis=1) @ weights["w"]
    assert np.abs(found - expected).max() < 0.2 < np.abs(expected).max() / 10


def attention():
    """z -> MatMul -> parts, whose product with themselves is weighted -> MatMul -> image; what moves values between."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["a"], "first"),
        helper.make_node("Reshape", ["a", "pair"], ["q"], "parts"),
        helper.make_node("Transpose", ["q"], ["k"], "turned", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "k"], ["scores"], "scores"),
        helper.make_node("Softmax", ["scores"], ["shares"], "shares"),
        helper.make_node("Reshape", ["shares", "row"], ["r"], "row"),
        helper.make_node("Mul", ["r", "r"], ["squares"], "squares"),
        helper.make_node("Reshape", ["squares", "pair2"], ["p"], "pair"),
        helper.make_node("Transpose", ["p"], ["t"], "turned_again", perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["t"], ["mean"], "mean", axes=[2]),
        helper.make_node("Add", ["t", "mean"], ["sum"], "sum"),
        helper.make_node("Reshape", ["sum", "row"], ["flat"], "flat"),
        helper.make_node("MatMul", ["flat", "v"], ["image"], "last"),
    ]
    constants = {
        "w": rng.normal(size=(8, 8)).astype(np.float32),
        "v": rng.normal(size=(4, 3)).astype(np.float32),
        "pair": np.array([1, 2, 4]),
        "pair2": np.array([1, 2, 2]),
        "row": np.array([1, 4]),
    }
    z, image = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, n)) for name, n in (("z", 8), ("image", 3)))
    stored = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "g", [z], [image], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_with_every_layer_in_float_nothing_is_rounded():
    """Products of two activations are layers too, which have no weights."""
    float32, samples = attention(), {"z": np.random.default_rng(1).normal(size=(32, 8)).astype(np.float32)}
    assert integer_layers(float32) == {"first": 64, "scores": 0, "last": 12}
    assert weighted_layers(float32) == {"first": 64, "last": 12}
    calibrated = calibrate(float32, samples)
    content = quantize_static(calibrated, QuantizationPlan(float_layers=("first", "scores", "last")))
    assert {node.op_type for node in load_model(content).graph.node}.isdisjoint({"QuantizeLinear", "DequantizeLinear"})
    assert read_integer_share(Format.ONNX, quantize_static(calibrated, QuantizationPlan())).is_whole
