"""Scales and biases take off what quantization does to a channel on average, one layer after the other."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pocketvae.export.quantize import onnx_channels
from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.onnx import calibrate, quantize_static
from pocketvae.export.quantize.onnx_channels import float_channels, with_corrected_channels
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
        "w2": RNG.normal(0, 0.05, (2, 16, 3, 3)),
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
    return calibrated, quantize_static(calibrated, QuantizationPlan(range_scales=dict.fromkeys(LAYERS, 0.8)))


@pytest.fixture(scope="module")
def corrected(quantized):
    calibrated, content = quantized
    return with_corrected_channels(content, float_channels(calibrated.prepared, Z), Z)


def image_error(content, expected):
    return run_content(Format.ONNX, content, Z)["image"] - expected


@pytest.mark.parametrize("layer", ["first", "last"])  # what the first of all layers is given is not clipped
def test_channels_have_the_mean_and_the_slope_of_the_float_network(quantized, corrected, layer):
    calibrated, content = quantized
    expected = float_channels(calibrated.prepared, Z)[layer]
    limits = next(each.limits for each in onnx_channels._layers(load_model(content).graph) if each.node.name == layer)
    held = (expected >= limits[0]) & (expected <= limits[1])
    assert 0.2 < held.mean() < 1  # the rest is clipped anyway
    deviations = np.where(held, expected - expected.mean(axis=1, keepdims=True, where=held), 0)
    errors = [np.where(held, float_channels(file, Z)[layer] - expected, 0) for file in (content, corrected)]
    means, slopes = ([np.abs((each * weights).sum(axis=1)).max() for each in errors] for weights in (1, deviations))
    assert means[1] < 0.2 * means[0]
    assert slopes[1] < 0.2 * slopes[0]


def test_the_mean_error_of_images_falls(quantized, corrected):
    calibrated, content = quantized
    expected = run_content(Format.ONNX, calibrated.float32, Z)["image"]
    means = [np.abs(image_error(file, expected).mean(axis=(0, 2, 3))).max() for file in (content, corrected)]
    assert means[1] < 0.6 * means[0]


def test_biases_and_scales_are_all_that_changes(quantized, corrected):
    before, after = (load_model(file).graph for file in (quantized[1], corrected))
    assert [node.output for node in after.node] == [node.output for node in before.node]
    kept = {tensor.name: array(tensor) for tensor in before.initializer}
    changed = [tensor for tensor in after.initializer if not np.array_equal(array(tensor), kept[tensor.name])]
    assert {array(tensor).dtype for tensor in changed} == {np.dtype(np.int32), np.dtype(np.float32)}
    for node in (node for node in after.node if node.op_type == "Conv"):
        given, weights, bias = (
            {name: item for item in after.node for name in item.output}[name] for name in node.input
        )
        stored = {tensor.name: array(tensor) for tensor in after.initializer}
        # onnxruntime's integer kernels take this scale of a bias for granted.
        np.testing.assert_allclose(stored[bias.input[1]], stored[given.input[1]] * stored[weights.input[1]], rtol=1e-5)


def test_layers_in_float_and_networks_that_are_too_large_stay_as_they_are(quantized, monkeypatch):
    calibrated, content = quantized
    expected = float_channels(calibrated.prepared, Z)
    floats = quantize_static(calibrated, QuantizationPlan(float_layers=LAYERS))
    assert with_corrected_channels(floats, expected, Z) == floats
    monkeypatch.setattr(onnx_channels, "_MOST_BYTES", len(content))
    assert with_corrected_channels(content, expected, Z) == content


@pytest.mark.parametrize("fill", [np.nan, 0.0])
def test_what_a_channel_of_zeros_or_no_numbers_makes_moves_no_scale(quantized, fill):
    calibrated, content = quantized
    expected = {name: np.full_like(values, fill) for name, values in float_channels(calibrated.prepared, Z).items()}
    before, after = (load_model(file).graph for file in (content, with_corrected_channels(content, expected, Z)))
    floats = [
        [array(each) for each in graph.initializer if array(each).dtype == np.float32] for graph in (before, after)
    ]
    for one, other in zip(*floats, strict=True):
        np.testing.assert_array_equal(one, other)


def scales_of(content):
    """Returns the scales of all weights."""
    stored = load_model(content).graph.initializer
    return np.concatenate(
        [array(each).ravel() for each in stored if each.name.startswith("w") and "scale" in each.name]
    )


def test_some_places_of_an_image_stand_for_all(quantized, corrected, monkeypatch):
    calibrated, content = quantized
    monkeypatch.setattr(onnx_channels, "_MOST_VALUES", 8 * 16 * len(Z["z"]))
    few = float_channels(calibrated.prepared, Z)
    assert few["first"].shape == (16, 8 * len(Z["z"]))
    found = [scales_of(file) for file in (content, with_corrected_channels(content, few, Z), corrected)]
    changes = [np.log(other / found[0]) for other in found[1:]]
    assert np.abs(changes[1]).max() > 0.01
    assert np.quantile(np.abs(changes[0] - changes[1]), 0.9) < 0.01


def test_a_network_of_products_alone_has_no_biases_to_correct():
    """Dense layers may be a product and a sum, whose biases stay in float."""
    values = numpy_helper.from_array(RNG.normal(size=(6, 4)).astype(np.float32), "w")
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 6))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 4))
    graph = helper.make_graph([helper.make_node("MatMul", ["z", "w"], ["image"], "dense")], "g", [z], [image], [values])
    opsets = [helper.make_opsetid("", 17)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    assert float_channels(content, Z) == {}
    whole = quantize_static(calibrate(content, Z), QuantizationPlan())
    assert run_content(Format.ONNX, with_corrected_channels(whole, {}, Z), Z)["image"].shape == (64, 4)


def parts_of(made):
    """Initializers by name, nodes by what they make, and the dense layer."""
    (dense,) = (node for node in made.graph.node if node.name == "dense")
    known = {tensor.name: tensor for tensor in made.graph.initializer}
    return known, {node.output[0]: node for node in made.graph.node}, dense


def one_for_all(tensor, value):
    """Puts one number in the place of all channels'."""
    tensor.CopyFrom(numpy_helper.from_array(value.reshape(()), tensor.name))


def test_one_scale_for_all_channels_stays_while_the_biases_move(quantized):
    calibrated, content = quantized
    made = load_model(content)
    known, makers, dense = parts_of(made)
    for name in dense.input[1:]:
        scales, *zeros = (known[item] for item in makers[name].input[1:])
        one_for_all(scales, array(scales).max())
        for zero in zeros:
            one_for_all(zero, array(zero).reshape(-1)[0])
        del makers[name].attribute[:]
    expected = float_channels(calibrated.prepared, Z)
    corrected = load_model(with_corrected_channels(made.SerializeToString(), expected, Z))
    after, *_ = parts_of(corrected)
    scales, biases = (makers[dense.input[2]].input[place] for place in (1, 0))
    assert array(after[scales]).shape == ()
    assert not np.array_equal(array(after[biases]), array(known[biases]))


def test_one_bias_for_all_channels_stays(quantized):
    calibrated, content = quantized
    made = load_model(content)
    known, makers, dense = parts_of(made)
    for name in makers[dense.input[2]].input:
        one_for_all(known[name], array(known[name]).reshape(-1)[0])
    del makers[dense.input[2]].attribute[:]
    content = made.SerializeToString()
    corrected = load_model(with_corrected_channels(content, float_channels(calibrated.prepared, Z), Z))
    after, *_ = parts_of(corrected)
    for name in makers[dense.input[2]].input:
        np.testing.assert_array_equal(array(after[name]), array(known[name]))
