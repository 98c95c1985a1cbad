"""Recurrent layers: unrolled if they take few steps, else loops, which TFLite only computes in floats."""

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.export.convert import noise_tflite, tflite
from pocketvae.export.convert.graphs import build_graph
from pocketvae.export.convert.loops import MOST_STEPS
from pocketvae.export.convert.merge import merge
from pocketvae.export.convert.plain_graphs import operators_of
from pocketvae.export.quantize.tflite import calibrate
from pocketvae.keras.io import import_flavour
from pocketvae.keras.model_form import Flavour
from pocketvae.numerics.noise import normal_noise
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

pytestmark = pytest.mark.slow
WORDS = {"likelihood": Likelihood.UNKNOWN, "range_is_strict": False, "data": DataKind.SEQUENCE}


def decoder(steps, flavour=Flavour.KERAS3, layer="LSTM"):
    keras = import_flavour(flavour)
    z = keras.Input((2,))
    y = keras.layers.RepeatVector(steps)(z)
    inside = getattr(keras.layers, layer)(2, return_sequences=True)
    model = keras.Model(z, keras.layers.Bidirectional(inside)(y))
    vae = VaeSpec(data_shape=(steps, 4), latents=vector_latent(2), **WORDS)
    return model, build_graph(Component.DECODER, model, vae)


def operators(graph):
    return operators_of(graph.function.get_concrete_function().graph.as_graph_def())


@pytest.mark.parametrize(("flavour", "layer"), [(Flavour.KERAS3, "LSTM"), (Flavour.KERAS2, "GRU")])
def test_few_steps_become_operators_that_tflite_computes_in_integers(flavour, layer):
    model, graph = decoder(3, flavour, layer)
    assert not {"While", "StatelessWhile"} & operators(graph)
    z = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    made = np.concatenate([graph.function(row[None])["sequence"] for row in z])
    np.testing.assert_allclose(made, model(z), atol=1e-6)
    assert not model.layers[-1].forward_layer.unroll
    assert calibrate(graph, {"z": z})


def test_many_steps_stay_a_loop_which_is_refused_in_integers(tmp_path):
    model, graph = decoder(MOST_STEPS)
    assert {"While", "StatelessWhile"} & operators(graph)
    for convert in (calibrate, tflite.convert_int16x8):
        with pytest.raises(ExportError, match="inside a loop.* use dynamic_int8, or int8 in ONNX"):
            convert(graph, {})
    sampler = tflite.convert_float32(noise_tflite.build_noise({"z": (2,)}))
    (tmp_path / "g.tflite").write_bytes(merge(Format.TFLITE, sampler, tflite.convert_float32(graph), "z"))
    with open_runner(tmp_path / "g.tflite", Format.TFLITE) as runner:
        found = runner.run({"seed": np.array([3], np.int32), "index": np.array([5], np.int32)})["sequence"]
    np.testing.assert_allclose(found, model(normal_noise(3, [5], 2)), atol=1e-5)
