import numpy as np
import pytest

from pocketvae.export.quantize.onnx_weights import store_integer_weights
from pocketvae.export.quantize.tflite_weights import quantize_per_channel, storable_layers, with_integer_weights
from pocketvae.formats.layers import read_layers
from pocketvae.formats.onnx.model import load_model
from pocketvae.layer_precision import Granularity
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format


def onnx_weights(content, layers):
    model = load_model(content)
    store_integer_weights(model, layers)
    return model.SerializeToString()


def decoded(content, format, z):
    with open_runner(content, format) as runner:
        return runner.run_samples({"z": z})["image"]


def test_each_channel_has_its_own_scale_and_zeros_stay_zeros():
    weights = np.array([[1.0, -2.0], [100.0, 50.0], [0.0, 0.0]], np.float32)
    integers, scales = quantize_per_channel(weights, 0)
    np.testing.assert_array_equal(integers, [[64, -127], [127, 64], [0, 0]])
    np.testing.assert_allclose(integers * scales[:, None], weights, atol=0.5)


@pytest.fixture
def files(bundles, tflite_models):
    weight = bundles.right_weight()
    model = bundles.decoder_model(weight)
    model.graph.node[0].name = "dense"
    return {
        Format.TFLITE: tflite_models.decoder(weight, bundles.SIDE),
        Format.ONNX: model.SerializeToString(),
    }


@pytest.mark.parametrize("format", Format)
def test_float_layers_compute_in_float_with_weights_of_8_bits(files, format):
    content, store = files[format], STORES[format]
    (layer,) = read_layers(format, content)
    assert store(content, [f"not {layer.name}"]).count(b"int8") == 0
    found = store(content, [layer.name])
    (stored,) = read_layers(format, found)
    assert stored.weights in ("int8", "uint8")
    assert stored.granularity is Granularity.PER_CHANNEL
    assert stored.activations == "float32"
    z = np.random.default_rng(0).normal(size=(4, *shape_of(content, format)[1:])).astype(np.float32)
    assert 0 < np.abs(decoded(found, format, z) - decoded(content, format, z)).max() < 0.01


def test_only_layers_with_a_matrix_can_store_their_weights_so(files):
    assert storable_layers(files[Format.TFLITE]) == {"flat"}


def shape_of(content, format):
    with open_runner(content, format) as runner:
        return runner.inputs["z"].shape


STORES = {Format.TFLITE: with_integer_weights, Format.ONNX: onnx_weights}
