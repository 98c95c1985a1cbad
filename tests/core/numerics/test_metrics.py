import math

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.numerics.likelihoods import Observed
from pocketvae.numerics.metrics import METRICS, measure, psnr_db
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.vae_spec import VaeSpec, vector_latent


def tolerance(metric, output="image"):
    return Tolerance(output=output, metric=metric, limit=1.0, source="test")


ORIGINAL = {"image": np.zeros((4, 10, 10, 1), np.float32)}


def shifted(count, by):
    image = np.zeros((4, 10, 10, 1), np.float32)
    image.reshape(-1)[:count] = by
    return {"image": image}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("max_abs", 0.5),
        ("mean_abs", 0.05),
        ("rmse", math.sqrt(0.025)),
        ("share_off_by_1", 0.1),
        ("share_off_by_4", 0.1),
    ],
)
def test_elementwise_metrics_are_of_the_absolute_difference(metric, expected):
    assert measure(tolerance(metric), ORIGINAL, shifted(40, -0.5)) == pytest.approx(expected)


def test_the_99th_percentile_ignores_fewer_than_one_in_a_hundred():
    assert measure(tolerance("p99_abs"), ORIGINAL, shifted(3, 1.0)) == 0
    assert measure(tolerance("p99_abs"), ORIGINAL, shifted(8, 1.0)) == 1


@pytest.mark.parametrize("metric", [name for name in METRICS if not name.startswith(("kl", "active"))])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_spoils_every_metric(metric, bad):
    assert math.isnan(measure(tolerance(metric), ORIGINAL, shifted(1, bad)))
    assert math.isnan(measure(tolerance(metric), shifted(1, bad), ORIGINAL))
    assert math.isnan(measure(tolerance(metric), shifted(1, bad), shifted(1, bad)))


def test_the_posterior_metric_is_the_divergence_in_nats():
    posterior = {"z_mean": np.zeros((2, 3), np.float32), "z_log_var": np.zeros((2, 3), np.float32)}
    moved = {**posterior, "z_mean": np.array([[1, 0, 0], [0, 0, 0]], np.float32)}
    assert measure(tolerance("kl_mean", "posterior"), posterior, moved) == pytest.approx(0.25)
    assert measure(tolerance("kl_max", "posterior"), posterior, moved) == pytest.approx(0.5)
    bad = {**moved, "z_log_var": np.full((2, 3), np.nan, np.float32)}
    for pair in ((posterior, bad), (bad, posterior)):
        assert math.isnan(measure(tolerance("kl_max", "posterior"), *pair))
        assert math.isnan(measure(tolerance("active_units_changed", "posterior"), *pair))


def test_the_divergence_is_of_the_artifact_from_the_original_and_not_the_other_way_round():
    narrow = {"z_mean": np.zeros((1, 1), np.float32), "z_log_var": np.zeros((1, 1), np.float32)}
    wide = {**narrow, "z_log_var": np.full((1, 1), np.log(4), np.float32)}
    # KL(N(0, 1) || N(0, 4)) = log 2 + 1/8 - 1/2
    expected = np.log(2) + 1 / 8 - 1 / 2
    assert measure(tolerance("kl_mean", "posterior"), narrow, wide) == pytest.approx(expected, rel=1e-6)
    assert measure(tolerance("kl_mean", "posterior"), wide, narrow) == pytest.approx(2 - 0.5 - np.log(2), rel=1e-6)


def test_an_unknown_metric_or_output_is_named():
    with pytest.raises(SpecError, match="unknown metric 'max_abz': did you mean 'max_abs'"):
        measure(tolerance("max_abz"), ORIGINAL, ORIGINAL)
    with pytest.raises(SpecError, match="unknown output 'imag'"):
        measure(tolerance("max_abs", "imag"), ORIGINAL, ORIGINAL)


def test_grey_steps_are_those_of_the_image_s_range():
    off = shifted(40, 1.5 / 255)
    assert measure(tolerance("share_off_by_1"), ORIGINAL, off) == pytest.approx(0.1)
    assert measure(tolerance("share_off_by_1"), ORIGINAL, off, image_span=2.0) == 0
    # A range of 255 has steps of 1: what is off by one step exactly is not off by more.
    assert measure(tolerance("share_off_by_1"), ORIGINAL, shifted(40, 1.0), image_span=255.0) == 0
    assert measure(tolerance("share_off_by_4"), ORIGINAL, shifted(40, 4.0), image_span=255.0) == 0
    assert measure(tolerance("share_off_by_4"), ORIGINAL, shifted(40, 4.5), image_span=255.0) == pytest.approx(0.1)


def test_the_signal_to_noise_ratio_is_of_white_over_the_error():
    assert psnr_db(0.1) == pytest.approx(20)
    assert psnr_db(1.0, image_span=255.0) == pytest.approx(48.1308, abs=1e-4)
    assert psnr_db(0.0) == float("inf")


def test_similarity_is_a_loss_from_zero_up():
    rng = np.random.default_rng(0)
    images = {"image": rng.random((3, 12, 12, 1)).astype(np.float32)}
    worse = {"image": images["image"].copy()}
    worse["image"][2] = 1 - worse["image"][2]
    assert measure(tolerance("ssim_loss"), images, images) == pytest.approx(0, abs=1e-9)
    mean, worst = (measure(tolerance(name), images, worse) for name in ("ssim_loss", "ssim_loss_max"))
    assert worst == pytest.approx(3 * mean)
    assert worst > 1
    with pytest.raises(SpecError, match="similarity needs images"):
        measure(tolerance("ssim_loss", "z"), {"z": np.zeros((2, 3))}, {"z": np.zeros((2, 3))})


def test_the_cosine_is_of_everything_at_once():
    a, b = {"z": np.array([[1.0, 0], [0, 0]], np.float32)}, {"z": np.array([[0.0, 1], [0, 0]], np.float32)}
    zero = {"z": np.zeros((2, 2), np.float32)}
    assert measure(tolerance("cosine_loss", "z"), a, {"z": 3 * a["z"]}) == pytest.approx(0)
    assert measure(tolerance("cosine_loss", "z"), a, b) == pytest.approx(1)
    assert measure(tolerance("cosine_loss", "z"), zero, zero) == 0
    assert measure(tolerance("cosine_loss", "z"), zero, a) == 1
    # Rounding alone would make the loss of these negative.
    for seed in range(20):
        z = {"z": np.random.default_rng(seed).normal(size=(2, 7)).astype(np.float32)}
        assert measure(tolerance("cosine_loss", "z"), z, {"z": 2 * z["z"]}) >= 0


def test_a_unit_that_falls_asleep_is_counted():
    rng = np.random.default_rng(0)
    z_mean = rng.normal(size=(50, 4)).astype(np.float32)
    z_mean[:, 3] *= 0.01
    posterior = {"z_mean": z_mean, "z_log_var": np.zeros_like(z_mean)}
    asleep = {**posterior, "z_mean": z_mean * np.array([1, 0.01, 1, 1], np.float32)}
    metric = tolerance("active_units_changed", "posterior")
    assert measure(metric, posterior, posterior) == 0
    assert measure(metric, posterior, asleep) == 1
    assert measure(metric, asleep, posterior) == 1
    assert math.isnan(measure(metric, posterior, {**asleep, "z_log_var": np.full_like(z_mean, np.inf)}))


@pytest.mark.parametrize("latents", ["ba", ("z", "z_low"), ("z", "z_map"), ("z_main", "z")])
def test_the_posteriors_of_several_latents_are_one_in_whatever_order_a_runtime_has_them(latents):
    rng = np.random.default_rng(0)
    names = [f"{latent}{ending}" for latent in latents for ending in ("_mean", "_log_var")]
    posterior = {name: rng.normal(size=(3, 2, 2)).astype(np.float32) for name in names}
    mean, log_var = names[2:]
    other = {**dict(reversed(posterior.items())), mean: posterior[mean] + np.float32(0.1)}
    metric = tolerance("kl_mean", "posterior")
    assert measure(metric, posterior, dict(reversed(posterior.items()))) == 0
    expected = 0.5 * np.sum(0.01 * np.exp(-posterior[log_var]), axis=(1, 2)).mean()
    assert measure(metric, posterior, other) == pytest.approx(expected, rel=1e-4)


def test_the_share_of_codes_that_differ():
    codes = np.array([[0, 1, 2, 3]])
    metric = tolerance("codes_changed", "z")
    assert measure(metric, {"z": codes}, {"z": codes.astype(np.float32)}) == 0
    assert measure(metric, {"z": codes}, {"z": np.array([[0, 1, 2, 9]], np.float32)}) == 0.25


@pytest.mark.parametrize(("variance", "count"), [(0.009, 1), (0.011, 0)])
def test_a_unit_is_active_above_a_variance_of_a_hundredth(variance, count):
    z = np.array([[1.0], [-1.0]], np.float32)
    active = {"z_mean": z, "z_log_var": np.zeros_like(z)}
    other = {**active, "z_mean": z * np.float32(math.sqrt(variance))}
    assert measure(tolerance("active_units_changed", "posterior"), active, other) == count


def test_the_change_of_the_elbo_needs_observed_images():
    image = np.full((2, 1, 1, 1), 0.5, np.float32)
    limit = Tolerance(output="image", metric="elbo_change", limit=1.0, source="test")
    vae = VaeSpec(data_shape=(1, 1, 1), latents=vector_latent(1))
    observed = Observed.of(vae, np.ones((1, 1, 1, 1), np.uint8))
    assert measure(limit, {"image": image}, {"image": image / 2}, observed=observed) == pytest.approx(np.log(2))
    with pytest.raises(SpecError, match="needs the images that the golden latents were drawn for"):
        measure(limit, {"image": image}, {"image": image})
    assert np.isnan(measure(limit, {"image": image}, {"image": image * np.nan}, observed=observed))
