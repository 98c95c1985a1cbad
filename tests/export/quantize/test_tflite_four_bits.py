import numpy as np
import pytest

from pocketvae.export.quantize.tflite_four_bits import dense_layers, packed, with_four_bits
from pocketvae.formats.layers import read_layers
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format, TensorSpec

Z = {"z": np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)}


def test_two_integers_share_a_byte_the_first_in_its_lower_half():
    np.testing.assert_array_equal(packed(np.array([[1, -1], [7, -7], [3, 0]], np.int8)), [0xF1, 0x97, 0x03])
    np.testing.assert_array_equal(packed(np.array([-2, 5, 1], np.int8)), [0x5E, 0x01])


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

    sizes = dense_layers(calibrated)
    assert sorted(sizes.values()) == [160, 2560]
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

    layers = tuple(dense_layers(calibrated))
    floats = quantize(calibrated, QuantizationPlan(float_layers=layers))
    assert with_four_bits(floats, calibrated, layers, Z) == floats
