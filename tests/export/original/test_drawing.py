"""What encoders of signals are calibrated with reaches beyond the training data; what they are held to does not."""

import importlib

import numpy as np
import pytest

from pocketvae.export.original import samples
from pocketvae.export.original.drawing import Drawing
from pocketvae.fields import Channel
from pocketvae.spec import Component
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent


@pytest.fixture(scope="module")
def encoder():
    """Takes the first and the last value of a window as means."""
    keras = importlib.import_module("tf_keras")
    x = keras.Input((6, 1))
    mean = keras.layers.Lambda(lambda v: v[:, ::5, 0], name="z_mean")(x)
    log_var = keras.layers.Lambda(lambda v: 0 * v[:, ::5, 0], name="z_log_var")(x)
    return keras.Model(x, [mean, log_var])


def spec():
    return VaeSpec(
        data=DataKind.SEQUENCE,
        data_shape=(6, 1),
        latents=vector_latent(2),
        channels=(Channel(name="a"),),
        likelihood=Likelihood.GAUSSIAN,
        range_is_strict=False,
    )


def drawn(encoder, purpose, vae):
    items = np.random.default_rng(0).normal(size=(50, 6, 1)).astype(np.float32)
    labels = np.zeros(50, np.int32)
    arrays = dict.fromkeys(("calibration", "golden"), items)
    arrays |= {f"{name}_labels": labels for name in ("calibration", "golden")}
    return items, Drawing(vae, 0, lambda _: encoder).drawn(Component.ENCODER, arrays, purpose)


def test_the_items_whose_latents_lie_farthest_out_are_enlarged(encoder):
    items, found = drawn(encoder, samples.CALIBRATION, spec())
    normal, enlarged = (found.inputs["x"][part.start : part.start + part.count] for part in found.strata)
    np.testing.assert_array_equal(normal, items)
    ends = items[:, ::5, 0]
    farthest = np.unique([ends.argmin(axis=0), ends.argmax(axis=0)])
    np.testing.assert_allclose(enlarged, 1.05 * items[farthest], rtol=1e-6)
    assert np.abs(found.inputs["x"][:, 0]).max() > 1.04 * np.abs(items[:, 0]).max()
    # Goldens are the data as they are.
    _, goldens = drawn(encoder, samples.GOLDEN, spec())
    assert [part.name for part in goldens.strata] == ["data"]
