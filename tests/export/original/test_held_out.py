"""What a scorer needs of a run's data, with networks of a line each."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.export.original import held_out
from pocketvae.export.original.held_out import scorer_data
from pocketvae.fields import Channel
from pocketvae.numerics.conformal import conformal_threshold
from pocketvae.numerics.normalization import in_own_unit
from pocketvae.numerics.scoring import at_mean_nats
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

pytestmark = pytest.mark.slow
VAE = VaeSpec(
    data=DataKind.SEQUENCE,
    data_shape=(8, 2),
    latents=vector_latent(2),
    likelihood=Likelihood.GAUSSIAN,
    channels=(
        Channel(name="temperature", mean=400.0, scale=20.0, noise_scale=0.3),
        Channel(name="vibration", mean=-1.0, scale=0.01, noise_scale=0.5),
    ),
    data_range=(-4.0, 4.0),
    range_is_strict=False,
)


class Network(SimpleNamespace):
    """Called like a Keras model."""

    def __call__(self, inputs, training):
        return self.compute(inputs)

    def get_weights(self):
        return []


def networks():
    import tensorflow as tf

    encoder = Network(compute=lambda x: [tf.reduce_mean(x, 1), tf.reduce_mean(x, 1) - 1.0])
    return encoder, Network(compute=lambda z: tf.repeat(z[:, None], 8, axis=1))


def arrays(held_out=200):
    rng = np.random.default_rng(0)
    found = {}
    for name, count in (("calibration", 150), ("golden", 60), ("held_out", held_out)):
        found[name] = rng.normal(size=(count, *VAE.data_shape)).astype(np.float32)
        found[f"{name}_labels"] = np.zeros(count, np.int32)
    return found


def data_of(values, rate=0.02):
    return scorer_data(*networks(), values, VAE, false_positive_rate=rate, seed=1)


def test_the_threshold_is_that_of_held_out_items():
    values = arrays()
    found = data_of(values)
    x = values["held_out"].astype(np.float64)
    mean = x.mean(axis=1)
    score, _ = at_mean_nats(VAE, x, np.repeat(mean[:, None], 8, axis=1), mean, mean - 1)
    assert found.scoring.threshold == pytest.approx(conformal_threshold(score, 0.02), rel=1e-5)
    assert (found.scoring.fitted_items, found.scoring.noise_scales) == (200, ())


def test_windows_are_there_in_the_unit_of_the_sensor_and_in_that_of_the_model():
    found = data_of(arrays())
    for inputs in (found.golden.inputs, found.held_out):
        assert set(inputs) == {"window", "x"}
        np.testing.assert_array_equal(inputs["window"], in_own_unit(inputs["x"], VAE.channels))
    np.testing.assert_array_equal(found.golden.inputs["x"][:60], arrays()["golden"])
    assert found.anomalous.tolist() == [False] * 60 + [True] * 60


def test_anomalies_for_the_ranges_of_integers_are_made_of_calibration_items():
    found = data_of(arrays())
    assert 100 <= len(found.calibration["x"]) <= 150
    assert np.abs(found.calibration["x"]).max() > 1.3 * np.abs(arrays()["calibration"]).max()


class Sums:
    """An original whose score is the sum of an item."""

    def golden_outputs(self, inputs):
        (x,) = inputs.values()
        return {"score": x.sum(axis=(1, 2))}


def test_one_extreme_anomaly_does_not_coarsen_what_tells_the_others():
    vae = replace(VAE, channels=())
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (80, 8, 2)).astype(np.float32)
    strange = np.arange(80) >= 40
    x[40:] += 0.05
    x[-1] = 500
    low, high = held_out._range_of_integers(Sums(), {"x": x}, strange, vae)
    assert (low, high) == (pytest.approx(-1, abs=0.01), pytest.approx(3.0, abs=0.02))
    # Where coarse steps change no decision, nothing is cut off: these values are all whole steps.
    x = rng.integers(-1, 2, (80, 8, 2)).astype(np.float32)
    x[40:] += 20
    x[-1] = 254
    assert held_out._range_of_integers(Sums(), {"x": x}, strange, vae)[1] == x.max()


def test_too_few_held_out_items_are_named():
    with pytest.raises(ExportError, match="needs at least 49 held-out sequences, got 30"):
        data_of(arrays(held_out=30))
