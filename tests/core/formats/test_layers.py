import numpy as np
import pytest

from pocketvae.formats.layers import read_layers, summarize_layers
from pocketvae.layer_precision import Granularity, LayerPrecision
from pocketvae.spec import Format


def test_a_float_onnx_file_has_float_layers(bundles):
    weight = np.zeros((bundles.LATENT, bundles.SIDE**2), np.float32)
    (layer,) = read_layers(Format.ONNX, bundles.decoder_model(weight).SerializeToString())
    assert (layer.operator, layer.weights, layer.granularity, layer.activations) == (
        "MatMul",
        "float32",
        Granularity.NONE,
        "float32",
    )
    assert layer.weight_count == weight.size


def layer(weights, granularity, activations):
    return LayerPrecision(
        name="a",
        operator="Conv",
        weight_count=1,
        weights=weights,
        granularity=granularity,
        activations=activations,
    )


def test_layers_of_a_kind_are_counted_together():
    quantized = layer("int8", Granularity.PER_CHANNEL, "int8")
    assert summarize_layers((quantized, layer("float32", Granularity.NONE, "float32"), quantized)) == (
        "2 x int8 weights per channel, int8 activations; 1 x float32 weights, float32 activations"
    )
    assert summarize_layers(()) == "no layers with weights"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights", "granularity", "activations"),
    [
        ("decoder.float32.tflite", {"float32"}, {Granularity.NONE}, {"float32"}),
        ("decoder.float16.tflite", {"float16"}, {Granularity.NONE}, {"float32"}),
        ("decoder.int8_io.tflite", {"int8"}, {Granularity.PER_CHANNEL}, {"int8"}),
        ("decoder.int16x8.tflite", {"int8"}, {Granularity.PER_CHANNEL}, {"int16"}),
        ("decoder.int16x8.onnx", {"int8"}, {Granularity.PER_CHANNEL}, {"uint16"}),
        ("decoder.float16.onnx", {"float16"}, {Granularity.NONE}, {"float32"}),
        ("decoder.dynamic_int8.onnx", {"uint8"}, None, {"uint8"}),
    ],
)
def test_the_layers_of_every_precision(tiny_bundle, name, weights, granularity, activations):
    layers = read_layers(Format(name.rpartition(".")[2]), (tiny_bundle / name).read_bytes())
    assert {item.weights for item in layers} == weights
    assert granularity is None or {item.granularity for item in layers} == granularity
    assert {item.activations for item in layers} == activations
    assert sum(item.weight_count for item in layers) > 1000
