import numpy as np
import pytest

from pocketvae.export.quantize.tflite_four_bits import layers_for_four_bits, packed, unpacked, with_four_bits
from pocketvae.formats.layers import read_layers
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format, TensorSpec

Z = {"z": np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)}


def test_two_integers_share_a_byte_the_first_in_its_lower_half():
    np.testing.assert_array_equal(packed(np.array([[1, -1], [7, -7], [3, 0]], np.int8)), [0xF1, 0x97, 0x03])
    np.testing.assert_array_equal(packed(np.array([-2, 5, 1], np.int8)), [0x5E, 0x01])


def test_what_was_packed_is_unpacked():
    integers = np.random.default_rng(0).integers(-7, 8, (3, 5)).astype(np.int8)
    np.testing.assert_array_equal(unpacked(packed(integers), (3, 5)), integers)


@pytest.fixture(scope="module")
def calibrated():
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph
    from pocketvae.export.quantize.tflite import calibrate

    rng = np.random.default_rng(0)
    first, bias, second = (
        rng.normal(size=(4, 40)).astype("f4"),
        rng.normal(size=64).astype("f4"),
        rng.normal(size=(40, 64)),
    )

    @tf.function(input_signature=[tf.TensorSpec((1, 4), name="z")], autograph=False)
    def decode(z):
        hidden = tf.nn.relu(z @ first)
        return {"image": tf.sigmoid(tf.reshape(0.2 * (hidden @ second.astype("f4") + bias), (1, 8, 8, 1)))}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 4)),)
    return calibrate(Graph(function=decode, model=tf.Module(), inputs=inputs, fused_shuffles=0), Z)


def run(content):
    with open_runner(content, Format.TFLITE) as runner:
        return runner.run_samples(Z)["image"]


@pytest.mark.slow
def test_a_dense_layer_has_weights_of_4_bits_and_the_others_stay(calibrated):
    from pocketvae.export.quantize.search import QuantizationPlan
    from pocketvae.export.quantize.tflite import quantize

    sizes = layers_for_four_bits(calibrated)
    assert sorted(sizes.values()) == [("FULLY_CONNECTED", 160), ("FULLY_CONNECTED", 2560)]
    large = max(sizes, key=sizes.get)
    eight = quantize(calibrated, QuantizationPlan())
    four = with_four_bits(eight, calibrated, [large], Z)
    assert [layer.weights for layer in read_layers(Format.TFLITE, four)] == ["int8", "int4"]
    assert len(eight) - len(four) > 1000
    errors = np.abs(run(four) - run(eight))
    assert 0 < errors.mean() < 0.01


@pytest.mark.slow
def test_a_layer_in_float_keeps_its_weights(calibrated):
    from pocketvae.export.quantize.search import QuantizationPlan
    from pocketvae.export.quantize.tflite import quantize

    layers = tuple(layers_for_four_bits(calibrated))
    floats = quantize(calibrated, QuantizationPlan(float_layers=layers))
    assert with_four_bits(floats, calibrated, layers, Z) == floats


@pytest.fixture(scope="module")
def convolved():
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph
    from pocketvae.export.quantize.tflite import calibrate

    rng = np.random.default_rng(0)
    dense, kernel = rng.normal(size=(4, 4 * 4 * 8)).astype("f4"), rng.normal(size=(3, 3, 8, 32)).astype("f4")
    last, groups = rng.normal(size=(3, 3, 32, 1)).astype("f4"), rng.normal(size=(3, 3, 4, 32)).astype("f4")
    bias = rng.normal(size=32).astype("f4")

    @tf.function(input_signature=[tf.TensorSpec((1, 4), name="z")], autograph=False)
    def decode(z):
        hidden = tf.reshape(tf.nn.relu(z @ dense), (1, 4, 4, 8))
        hidden = tf.nn.relu(tf.nn.conv2d(hidden, kernel, 1, "SAME") + bias)
        hidden = hidden + 0.1 * tf.nn.conv2d(hidden[..., :8], groups, 1, "SAME")
        return {"image": tf.sigmoid(0.02 * tf.nn.conv2d(hidden, last, 1, "SAME"))}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 4)),)
    return calibrate(Graph(function=decode, model=tf.Module(), inputs=inputs, fused_shuffles=0), Z)


@pytest.mark.slow
def test_a_convolution_has_weights_of_4_bits_by_what_they_make(convolved):
    from pocketvae.export.quantize.search import QuantizationPlan
    from pocketvae.export.quantize.tflite import quantize

    sizes = layers_for_four_bits(convolved)
    # A convolution of groups is left out.
    assert sorted(sizes.values()) == [("CONV_2D", 288), ("CONV_2D", 2304), ("FULLY_CONNECTED", 512)]
    large = max(sizes, key=lambda name: sizes[name][1])
    eight = quantize(convolved, QuantizationPlan())
    four = with_four_bits(eight, convolved, [large], Z)
    assert sorted(layer.weights for layer in read_layers(Format.TFLITE, four)).count("int4") == 1
    assert len(eight) - len(four) > 1000
    errors = np.abs(run(four) - run(eight))
    assert 0 < errors.mean() < 0.02
