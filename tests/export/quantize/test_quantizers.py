"""Of what an ONNX quantizer makes in several ways, the file with the smallest error on calibration samples is taken."""

from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.export.quantize import quantizers
from pocketvae.export.quantize.quantizers import OnnxQuantizer
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.tuning.names import Tuning
from tests import onnx_files

FLOAT32 = b"float32"


@pytest.fixture
def quantized(monkeypatch):
    """Returns the file that is taken, given the error of each; sums of tuned networks are corrected by a mark."""

    def taken(errors, *, tuning=None, float_layers=()):
        asked = []

        def run(format, content, inputs):
            asked.append(content)
            return {"image": np.full((2, 3), {FLOAT32: 0.5, **errors}.get(content, np.nan), np.float32)}

        monkeypatch.setattr(quantizers, "run_content", run)
        monkeypatch.setattr(quantizers.onnx_quantize, "quantize_static", lambda calibrated, plan: b"plain")
        monkeypatch.setattr(quantizers, "float_channels", lambda float32, inputs: {})
        monkeypatch.setattr(quantizers, "with_corrected_channels", lambda *_: b"corrected")
        quantizer = OnnxQuantizer(SimpleNamespace(tuning=tuning), {"z": np.zeros((4, 2), np.float32)})
        quantizer.__dict__ |= {"calibrated": SimpleNamespace(prepared=FLOAT32), "_multiply_adds": 1000}
        quantizer.__dict__["_sums"] = SimpleNamespace(correct=lambda content: content + b", sums too")
        return quantizer.quantize(QuantizationPlan(float_layers=float_layers)), asked

    return taken


@pytest.mark.parametrize(("plain", "corrected", "expected"), [(0.7, 0.6, b"corrected"), (0.6, 0.3, b"plain")])
def test_channels_are_corrected_where_that_lowers_the_error(quantized, plain, corrected, expected):
    assert quantized({b"plain": plain, b"corrected": corrected})[0] == expected


@pytest.mark.parametrize("best", [b"plain, sums too", b"corrected, sums too"])
def test_the_error_of_a_tuned_network_is_that_of_the_final_file(quantized, best):
    errors = dict.fromkeys((b"plain, sums too", b"corrected, sums too"), 0.7) | {best: 0.6}
    content, asked = quantized(errors, tuning=Tuning(exponent=0.5))
    assert content == best
    assert set(asked) == {FLOAT32, *errors}


def test_a_network_with_layers_in_float_is_taken_as_it_is(quantized):
    content, asked = quantized({b"corrected": 0.5}, float_layers=("a",))
    assert content == b"plain"
    assert not asked  # a search tries many of them


@pytest.mark.parametrize(("multiply_adds", "count"), [(10**8, 128), (10**10, 52), (10**11, 16)])
def test_means_of_large_networks_are_taken_of_fewer_samples(multiply_adds, count):
    quantizer = OnnxQuantizer(SimpleNamespace(), {"z": np.zeros((1024, 2), np.float32)})
    quantizer.__dict__["_multiply_adds"] = multiply_adds
    assert len(quantizer._mean_samples["z"]) == count


def test_channels_are_those_of_the_operator_that_makes_them():
    rng = np.random.default_rng(0)
    weights = {"k": onnx_files.values(rng, 5, 2, 3), "m": onnx_files.values(rng, 6, 7)}
    nodes = [
        onnx_files.node("Conv", "z k", "c", name="conv"),
        onnx_files.node("Reshape", "c sizes", "r"),
        onnx_files.node("MatMul", "r m", "image", name="product"),
    ]
    shapes = {"z": (1, 2, 8)}, {"image": (1, 1, 5, 7)}
    content = onnx_files.model(nodes, *shapes, {**weights, "sizes": np.array([1, 1, 5, 6])}).SerializeToString()
    z = rng.normal(size=(3, 2, 8)).astype(np.float32)
    quantizer = OnnxQuantizer(SimpleNamespace(float32=lambda _: content, tuning=None), {"z": z})
    for found in (
        quantizer.float_activations({"z": z}),
        quantizer.activations(quantizer.quantize(QuantizationPlan(float_layers=("conv", "product"))), {"z": z}),
    ):
        assert {layer: values.shape for layer, values in found.items()} == {
            "conv": (3, 6, 5),
            "product": (3, 1, 5, 7),
        }
