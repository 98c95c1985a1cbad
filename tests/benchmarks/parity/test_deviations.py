import numpy as np
import pytest

from pocketvae.benchmarks import verify_bundle
from pocketvae.benchmarks.parity import deviations as module
from pocketvae.benchmarks.parity.deviations import Deviations
from pocketvae.bundle.manifest import Stratum
from pocketvae.numerics.metrics import measure
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.vae_spec import VaeSpec, vector_latent

VAE = VaeSpec(data_shape=(12, 12, 1), latents=vector_latent(3), data_range=(-1.0, 1.0))
STRATA = (Stratum(name="prior", start=0, count=6), Stratum(name="tails", start=6, count=2))
METRICS = ("max_abs", "mean_abs", "p99_abs", "rmse", "share_off_by_1", "share_off_by_4", "cosine_loss", "ssim_loss")


def images(seed):
    return {"image": np.random.default_rng(seed).random((8, 12, 12, 1), np.float32)}


def tolerance(metric, output="image"):
    return Tolerance(output=output, metric=metric, limit=0.0, source="test")


@pytest.mark.parametrize("in_detail", [True, False])
@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_what_it_is_without_the_others(metric, in_detail):
    deviations = Deviations(images(0), images(1), VAE, strata=STRATA)
    if in_detail:
        deviations.of("image")
    alone = measure(tolerance(metric), images(0), images(1), image_span=2.0)
    assert deviations.measure(tolerance(metric)) == alone > 0


def test_samples_and_strata_have_their_own():
    expected, found = images(0), images(1)
    deviation = Deviations(expected, found, VAE, strata=STRATA).of("image")
    difference = np.abs(found["image"] - expected["image"])
    np.testing.assert_array_equal(deviation.by_sample, difference.max(axis=(1, 2, 3)))
    assert deviation.by_stratum["tails"]["max_abs"] == difference[6:].max()
    assert deviation.by_stratum["prior"]["mean_abs"] == pytest.approx(difference[:6].mean(dtype=np.float64), rel=1e-12)


def test_what_is_not_finite_fails_every_metric():
    found = images(1)
    found["image"][3, 0, 0, 0] = np.nan
    deviations = Deviations(images(0), found, VAE)
    assert not deviations.is_finite("image")
    assert np.isnan(deviations.of("image").by_sample).tolist() == [False, False, False, True, *[False] * 4]
    assert all(np.isnan(deviations.measure(tolerance(metric))) for metric in METRICS)


def test_verify_goes_through_the_difference_of_an_output_once(tmp_path, bundles, monkeypatch):
    asked = []
    real = module.absolute_difference

    def count(expected, found):
        asked.append(found.shape)
        return real(expected, found)

    monkeypatch.setattr(module, "absolute_difference", count)
    monkeypatch.setattr("pocketvae.numerics.metrics.absolute_difference", count)
    limits = tuple(Tolerance(output="image", metric=metric, limit=1e-5, source="test") for metric in METRICS[:3])
    result = verify_bundle(bundles.make_bundle(tmp_path / "b", tolerances=limits))
    assert result.passed
    # The decoder's image, and the encoder's two outputs, which are measured in nats besides.
    assert sorted(len(shape) for shape in asked) == [2, 2, 4]
