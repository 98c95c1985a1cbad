"""Weights of 8 bits where they hold the budget, and float ones where they do not."""

import numpy as np
import pytest

from pocketvae.export.quantize.dynamic import quantize_within_budget
from pocketvae.export.quantize.measured import errors_of, run_content
from pocketvae.export.quantize.source import Source
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import Component, Format
from pocketvae.vae_spec import VaeSpec, vector_latent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source():
    from pocketvae.export.original.goldens import Original
    from pocketvae.keras.io import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(5)
    layers, bias = keras.layers, "random_normal"  # a product with a bias that is not 0 becomes a Gemm in ONNX
    z = keras.Input((8,))
    hidden = layers.Dense(64, activation="relu", bias_initializer=bias, name="hidden")(z)
    large = layers.Dense(1024, activation="relu", bias_initializer=bias, name="large")
    x = layers.Reshape((8, 8, 16))(large(hidden))
    model = keras.Model(z, layers.Conv2D(8, 3, padding="same", name="last")(x))
    vae = VaeSpec(data_shape=(8, 8, 8), latents=vector_latent(8))
    goldens = {"z": np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)}
    outputs = Original(Component.DECODER, model, vae).golden_outputs(goldens)
    return Source(
        component=Component.DECODER,
        model=model,
        vae=vae,
        calibration=goldens,
        golden_inputs=goldens,
        golden_outputs=outputs,
    )


def limit(value):
    return (Tolerance(output="image", metric="max_abs", limit=value, source="test"),)


def error(format, content, source):
    tolerances = limit(1.0)
    return errors_of(run_content(format, content, source.golden_inputs), source, tolerances)["image max_abs"]


@pytest.mark.parametrize("format", Format)
def test_within_the_budget_all_weights_have_8_bits(source, format):
    content, kept = quantize_within_budget(format, source, limit(1.0))
    assert kept == ()
    assert quantize_within_budget(format, source, ()) == (content, ())
    assert 0 < error(format, content, source) < 1


@pytest.mark.parametrize("format", Format)
def test_over_the_budget_the_layers_that_cost_too_much_keep_their_weights(source, format):
    small, _ = quantize_within_budget(format, source, ())
    budget = 0.8 * error(format, small, source)
    content, kept = quantize_within_budget(format, source, limit(budget))
    assert kept
    assert not any("large" in name for name in kept)
    assert error(format, content, source) <= budget
    assert len(small) < len(content)


@pytest.mark.parametrize("format", Format)
def test_a_budget_of_almost_nothing_leaves_the_float_file_s_values(source, format):
    content, kept = quantize_within_budget(format, source, limit(1e-6))
    assert any("large" in name for name in kept)
    assert error(format, content, source) < 1e-6
