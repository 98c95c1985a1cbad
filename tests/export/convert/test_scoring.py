"""The score as a graph, against the same formula in numpy."""

from dataclasses import replace

import numpy as np
import pytest

from pocketvae.export.convert import onnx, tflite
from pocketvae.export.convert.scoring import normalization_graph, score_graph
from pocketvae.export.quantize.measured import run_content
from pocketvae.fields import Channel, ChannelKind
from pocketvae.numerics.normalization import normalized
from pocketvae.numerics.scoring import Scoring, at_mean_nats
from pocketvae.spec import Format
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

pytestmark = pytest.mark.slow
COUNT = 12
SEQUENCES = VaeSpec(
    data=DataKind.SEQUENCE,
    data_shape=(8, 2),
    latents=vector_latent(3),
    likelihood=Likelihood.STUDENT_T,
    degrees_of_freedom=5.0,
    channels=(Channel(mean=400.0, scale=20.0, noise_scale=0.3), Channel(mean=-1.0, scale=0.01, noise_scale=0.5)),
)
TABLE = VaeSpec(
    data=DataKind.VECTOR,
    data_shape=(5,),
    latents=vector_latent(3),
    likelihood=Likelihood.MIXED,
    channels=(
        Channel(noise_scale=0.5),
        Channel(kind=ChannelKind.BINARY),
        Channel(kind=ChannelKind.CATEGORY, categories=("a", "b", "c")),
    ),
)
IMAGES = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3))
SCORING = Scoring(threshold=0.0, false_positive_rate=0.01, fitted_items=99)


def inputs_of(vae):
    rng = np.random.default_rng(2)
    values = {name: rng.random((COUNT, *vae.data_shape), np.float32) for name in ("x", vae.output)}
    return {**values, "z_mean": rng.normal(size=(COUNT, 3)), "z_log_var": rng.normal(size=(COUNT, 3))}


def run(vae, scoring, format, inputs):
    convert = tflite.convert_float32 if format is Format.TFLITE else onnx.convert_float32
    return run_content(format, convert(score_graph(vae, scoring)), inputs)


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("vae", [SEQUENCES, TABLE, IMAGES], ids=["sequences", "table", "images"])
def test_the_graph_computes_the_formula(vae, format):
    inputs = {name: values.astype(np.float32) for name, values in inputs_of(vae).items()}
    score, parts = at_mean_nats(vae, *(inputs[name] for name in ("x", vae.output, "z_mean", "z_log_var")))
    scoring = replace(SCORING, threshold=float(np.median(score)))
    found = run(vae, scoring, format, inputs)
    np.testing.assert_allclose(found["score"], score, rtol=2e-5, atol=1e-5)
    np.testing.assert_array_equal(found["alarm"], score > scoring.threshold)
    if vae is IMAGES:
        assert set(found) == {"score", "alarm"}
    else:
        np.testing.assert_allclose(found["contributions"], parts, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("format", Format)
def test_a_window_that_is_no_number_is_an_alarm(format):
    inputs = {name: values.astype(np.float32) for name, values in inputs_of(SEQUENCES).items()}
    inputs["x"][0, 3, 1], inputs["x"][1, 3, 1] = np.nan, np.inf
    found = run(SEQUENCES, replace(SCORING, threshold=1e9), format, inputs)
    assert found["alarm"].tolist() == [1, 1] + [0] * (COUNT - 2)


@pytest.mark.parametrize("format", Format)
def test_a_window_is_taken_in_the_unit_of_the_sensor(format):
    convert = tflite.convert_float32 if format is Format.TFLITE else onnx.convert_float32
    window = np.random.default_rng(1).normal([400, -1], [20, 0.01], (COUNT, 8, 2)).astype(np.float32)
    found = run_content(format, convert(normalization_graph(SEQUENCES)), {"window": window})["x"]
    np.testing.assert_allclose(found, normalized(window, SEQUENCES.channels), atol=1e-4)
