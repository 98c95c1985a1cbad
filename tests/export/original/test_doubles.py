"""The original in double precision."""

import numpy as np
import pytest

from pocketvae.export.original.doubles import in_doubles
from pocketvae.export.original.goldens import Original
from pocketvae.keras.io import import_flavour, import_tensorflow
from pocketvae.keras.model_form import Flavour
from pocketvae.spec import Component
from pocketvae.vae_spec import Likelihood, VaeSpec, vector_latent

pytestmark = pytest.mark.slow


def test_a_function_computes_in_doubles_with_its_constants():
    tf = import_tensorflow()
    weight = tf.Variable(np.float32(1 / 3))

    def apply(arrays):
        return {"mean": tf.reduce_mean(arrays["x"] * weight, axis=1), "place": tf.argmax(arrays["x"], axis=1)}

    x = np.random.default_rng(0).normal(size=(1, 9)).astype(np.float32)
    found, again = in_doubles(apply, [{"x": x}, {"x": 2 * x}])
    np.testing.assert_allclose(again["mean"], 2 * found["mean"], rtol=1e-14)
    assert (found["mean"].dtype, found["place"].dtype) == (np.float64, np.int64)
    np.testing.assert_allclose(
        found["mean"], (x.astype(np.float64) * np.float64(np.float32(1 / 3))).mean(1), rtol=1e-14
    )
    assert found["place"] == x.argmax(1)


def test_what_has_no_doubles_is_not_run():
    tf = import_tensorflow()
    one = np.ones(3, np.float32)

    def apply(arrays):
        return {"y": tf.raw_ops.FusedBatchNormV3(x=arrays["x"], scale=one, offset=one, mean=one, variance=one)[0]}

    assert in_doubles(apply, [{"x": np.ones((1, 2, 2, 3), np.float32)}]) is None


def test_large_items_are_compared_with_those_in_double_precision():
    keras = import_flavour(Flavour.KERAS3)
    z = keras.Input((4, 4, 2))
    decoder = keras.Model(z, keras.layers.UpSampling2D(64)(keras.layers.Conv2D(1, 1, activation="sigmoid")(z)))
    vae = VaeSpec(data_shape=(256, 256, 1), latents=vector_latent(32), likelihood=Likelihood.UNKNOWN)
    inputs = {"z": np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)}
    original = Original(Component.DECODER, decoder, vae)
    floor = original.noise_floor(inputs, original.golden_outputs(inputs))
    assert 0 < floor.rounding["image"] < 1e-6
