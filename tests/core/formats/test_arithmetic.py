import numpy as np
import onnx
import pytest

from pocketvae.formats.arithmetic import read_integer_share
from pocketvae.spec import Format


def test_a_float_onnx_file_multiplies_in_float(bundles):
    weight = np.zeros((bundles.LATENT, bundles.SIDE**2), np.float32)
    share = read_integer_share(Format.ONNX, bundles.decoder_model(weight).SerializeToString())
    assert (share.multiply_adds, share.integer_multiply_adds) == (weight.size, 0)
    assert len(share.float_layers) == 1


def quantized_product(*, rounds_output):
    """A product of 2 x 3 by 3 x 4 in QDQ form, with a symbolic batch."""
    helper, kinds = onnx.helper, onnx.TensorProto
    scale = helper.make_tensor("scale", kinds.FLOAT, [], [0.1])
    zero = helper.make_tensor("zero", kinds.UINT8, [], [128])
    weights = helper.make_tensor("weights", kinds.UINT8, [3, 4], [1] * 12)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["weights", "scale", "zero"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["product"], name="dense"),
        helper.make_node("Relu", ["product"], ["bounded"]),
    ]
    if rounds_output:
        nodes.append(helper.make_node("QuantizeLinear", ["bounded", "scale", "zero"], ["rounded"]))
        nodes.append(helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["y"]))
    else:
        nodes.append(helper.make_node("Sigmoid", ["bounded"], ["y"]))
    x, y = (helper.make_tensor_value_info(name, kinds.FLOAT, ["batch", 2, size]) for name, size in (("x", 3), ("y", 4)))
    graph = helper.make_graph(nodes, "graph", [x], [y], [scale, zero, weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def test_a_layer_of_an_onnx_file_is_in_integers_between_roundings():
    share = read_integer_share(Format.ONNX, quantized_product(rounds_output=True))
    assert (share.multiply_adds, share.integer_multiply_adds, share.float_layers) == (24, 24, ())


def test_a_layer_of_an_onnx_file_whose_output_is_not_rounded_is_in_float():
    share = read_integer_share(Format.ONNX, quantized_product(rounds_output=False))
    assert (share.multiply_adds, share.integer_multiply_adds, share.float_layers) == (24, 0, ("dense",))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "is_whole"),
    [
        ("decoder.float32.tflite", False),
        ("decoder.dynamic_int8.tflite", False),
        ("decoder.int8_io.tflite", True),
        ("decoder.int16x8.tflite", True),
        ("generator.int16x8.tflite", True),
        ("decoder.float16.onnx", False),
        ("decoder.int16x8.onnx", True),
        ("generator.int16x8.onnx", True),
        ("decoder.dynamic_int8.onnx", True),
    ],
)
def test_which_precisions_multiply_in_integers(tiny_bundle, name, is_whole):
    share = read_integer_share(Format(name.rpartition(".")[2]), (tiny_bundle / name).read_bytes())
    assert share.is_whole == is_whole
    assert share.multiply_adds > 1000
    assert share.percent == ("100%" if is_whole else "0%")


@pytest.mark.slow
def test_both_formats_of_a_component_multiply_the_same(tiny_bundle):
    tflite, onnx_file = (
        read_integer_share(format, (tiny_bundle / f"decoder.float16.{format}").read_bytes()) for format in Format
    )
    assert tflite.multiply_adds == onnx_file.multiply_adds
