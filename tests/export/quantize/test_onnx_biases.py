"""Biases take off what quantization adds to a layer's outputs on average, one layer after the other."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pocketvae.export.quantize import onnx_biases
from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.onnx import calibrate, quantize_static
from pocketvae.export.quantize.onnx_biases import mean_outputs, with_corrected_biases
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.formats.onnx.model import array, load_model
from pocketvae.spec import Format

RNG = np.random.default_rng(0)
Z = {"z": RNG.normal(size=(64, 6)).astype(np.float32)}
LAYERS = ("dense", "first", "last")


def model():
    """z -> Gemm -> ReLU -> image -> Conv -> ReLU -> Conv -> Sigmoid; nothing else of a bias's values is shared."""
    constants = {
        "wd": RNG.normal(size=(6, 64)),
        "bd": RNG.normal(size=64),
        "shape": np.array([1, 4, 4, 4]),
        "w1": RNG.normal(0, 0.3, (16, 4, 3, 3)),
        "b1": RNG.normal(size=16),
        "w2": RNG.normal(0, 0.3, (2, 16, 3, 3)),
        "b2": RNG.normal(size=2),
    }
    nodes = [
        helper.make_node("Gemm", ["z", "wd", "bd"], ["d"], "dense"),
        helper.make_node("Relu", ["d"], ["r"], "relu"),
        helper.make_node("Reshape", ["r", "shape"], ["x"], "reshape"),
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "last", pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["c2"], ["image"], "head"),
    ]
    stored = [
        numpy_helper.from_array(values.astype(np.int64 if name == "shape" else np.float32), name)
        for name, values in constants.items()
    ]
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 6))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 2, 4, 4))
    graph = helper.make_graph(nodes, "g", [z], [image], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.fixture(scope="module")
def quantized():
    """The calibrated model and its file, with ranges so narrow that clipping moves every mean."""
    calibrated = calibrate(model(), Z)
    return calibrated, quantize_static(calibrated, QuantizationPlan(range_scales=dict.fromkeys(LAYERS, 0.6)))


def image_error(content, expected):
    return run_content(Format.ONNX, content, Z)["image"] - expected


def test_layers_make_on_average_what_the_float_network_makes(quantized):
    calibrated, content = quantized
    expected = mean_outputs(calibrated.prepared, Z)
    assert set(expected) == set(LAYERS)
    corrected = with_corrected_biases(content, expected, Z)
    before, after = mean_outputs(content, Z), mean_outputs(corrected, Z)
    for layer in ("first", "last"):  # what the first layer is given is not clipped
        error = np.abs(before[layer] - expected[layer]).max()
        assert np.abs(after[layer] - expected[layer]).max() < 0.1 * error


def test_the_mean_error_of_images_falls(quantized):
    calibrated, content = quantized
    expected = run_content(Format.ONNX, calibrated.float32, Z)["image"]
    corrected = with_corrected_biases(content, mean_outputs(calibrated.prepared, Z), Z)
    means = [np.abs(image_error(file, expected).mean(axis=(0, 2, 3))).max() for file in (content, corrected)]
    assert means[1] < 0.6 * means[0]


def test_biases_are_all_that_changes(quantized):
    calibrated, content = quantized
    corrected = with_corrected_biases(content, mean_outputs(calibrated.prepared, Z), Z)
    before, after = (load_model(file).graph for file in (content, corrected))
    assert [node.output for node in after.node] == [node.output for node in before.node]
    kept = {tensor.name: array(tensor) for tensor in before.initializer}
    changed = {tensor.name for tensor in after.initializer if not np.array_equal(array(tensor), kept[tensor.name])}
    assert changed
    assert all(array(tensor).dtype == np.int32 for tensor in after.initializer if tensor.name in changed)


def test_layers_in_float_and_networks_that_are_too_large_stay_as_they_are(quantized, monkeypatch):
    calibrated, content = quantized
    expected = mean_outputs(calibrated.prepared, Z)
    floats = quantize_static(calibrated, QuantizationPlan(float_layers=LAYERS))
    assert with_corrected_biases(floats, expected, Z) == floats
    monkeypatch.setattr(onnx_biases, "_MOST_BYTES", len(content))
    assert with_corrected_biases(content, expected, Z) == content


def test_a_network_of_products_alone_has_no_biases_to_correct():
    """Dense layers may be a product and a sum, whose biases stay in float."""
    values = numpy_helper.from_array(RNG.normal(size=(6, 4)).astype(np.float32), "w")
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 6))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 4))
    graph = helper.make_graph([helper.make_node("MatMul", ["z", "w"], ["image"], "dense")], "g", [z], [image], [values])
    opsets = [helper.make_opsetid("", 17)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    assert mean_outputs(content, Z) == {}
    calibrated = calibrate(content, Z)
    whole = quantize_static(calibrated, QuantizationPlan())
    assert run_content(Format.ONNX, with_corrected_biases(whole, {}, Z), Z)["image"].shape == (64, 4)
