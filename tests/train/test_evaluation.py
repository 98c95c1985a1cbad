"""Against a model that can be solved: with a linear decoder and Gaussian pixels p(x) and p(z|x) are Gaussian."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.data.dataset import ImageSet
from pocketvae.numerics import gaussian
from pocketvae.vae_spec import Likelihood, PriorKind, VaeSpec, vector_latent

pytestmark = pytest.mark.slow
SHAPE, PIXELS, DIM, VARIANCE = (3, 4, 1), 12, 3, 0.02
RNG = np.random.default_rng(0)
# Orthogonal columns make the dimensions of the posterior independent, as the encoder assumes. The last hardly matters.
WEIGHTS = np.linalg.qr(RNG.normal(size=(PIXELS, DIM)))[0] * [0.5, 0.3, 0.01]
BIAS = np.full(PIXELS, 0.5)
POSTERIOR_VARIANCE = 1 / (1 + np.square(WEIGHTS).sum(axis=0) / VARIANCE)
PROJECTION = WEIGHTS * POSTERIOR_VARIANCE / VARIANCE


def images(count=40):
    rng = np.random.default_rng(1)
    z, noise = rng.standard_normal((count, DIM)), rng.standard_normal((count, PIXELS))
    x = z @ WEIGHTS.T + BIAS + np.sqrt(VARIANCE) * noise
    return ImageSet(images=np.round(np.clip(x, 0, 1) * 255).astype(np.uint8).reshape(count, *SHAPE))


def flat(data):
    return data.images.reshape(len(data), PIXELS) / 255


def log_normal_full(x, mean, covariance):
    """log N(x; mean, covariance) with a full covariance."""
    _, determinant = np.linalg.slogdet(2 * np.pi * covariance)
    difference = x - mean
    return -0.5 * (determinant + np.einsum("ni,ij,nj->n", difference, np.linalg.inv(covariance), difference))


def exact_log_likelihood(data):
    return log_normal_full(flat(data), BIAS, WEIGHTS @ WEIGHTS.T + VARIANCE * np.eye(PIXELS))


def linear_model(*, shift=0.0, widen=1.0, prior=None):
    """A VAE whose encoder is the exact posterior; `shift` (in its sigmas) and `widen` make it wrong."""
    from pocketvae.keras.io import import_keras
    from pocketvae.train.model import VaeModel

    keras = import_keras()
    layers = keras.layers
    x, z = layers.Input(SHAPE), layers.Input((DIM,))
    features = layers.Flatten()(x)
    mean, log_var = layers.Dense(DIM), layers.Dense(DIM, kernel_initializer="zeros")
    decode = layers.Dense(PIXELS)
    encoder = keras.Model(x, [mean(features), log_var(features)])
    decoder = keras.Model(z, layers.Reshape(SHAPE)(decode(z)))
    mean.set_weights([PROJECTION, -BIAS @ PROJECTION + shift * np.sqrt(POSTERIOR_VARIANCE)])
    log_var.set_weights([np.zeros((PIXELS, DIM)), np.log(POSTERIOR_VARIANCE * widen)])
    decode.set_weights([WEIGHTS.T, BIAS])
    kind = PriorKind.STANDARD if prior is None else PriorKind.MIXTURE
    spec = VaeSpec(data_shape=SHAPE, latents=vector_latent(DIM), likelihood=Likelihood.GAUSSIAN, prior=kind)
    return VaeModel(spec=spec, encoder=encoder, decoder=decoder, prior=prior, variance=VARIANCE)


def evaluator(**changes):
    from pocketvae.train.evaluation import Evaluator

    return Evaluator(linear_model(**changes))


@pytest.mark.parametrize("samples", [1, 7, 300])
def test_from_the_exact_posterior_every_importance_sample_has_the_exact_weight(samples):
    data = images()
    estimate = evaluator().log_likelihood(data, samples)
    exact = -exact_log_likelihood(data)
    assert estimate.negative_log_likelihood_nats == pytest.approx(exact.mean(), abs=1e-3)
    assert estimate.standard_error_nats == pytest.approx(exact.std(ddof=1) / np.sqrt(40), rel=1e-3)
    assert (estimate.importance_samples, estimate.images) == (samples, 40)


def test_from_a_wrong_posterior_the_estimate_comes_close_with_many_samples():
    data = images()
    wrong = evaluator(shift=0.5, widen=1.3)
    exact = -exact_log_likelihood(data).mean()
    few, many = (wrong.log_likelihood(data, samples).negative_log_likelihood_nats for samples in (1, 3000))
    # One sample gives the ELBO, whose gap is KL(q(z|x) || p(z|x)).
    gap = DIM * 0.5 * (1.3 + 0.25 - 1 - np.log(1.3))
    assert few == pytest.approx(exact + gap, abs=0.5)
    assert many == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("decodes", [1, 700, 10_000])
def test_the_size_of_a_batch_changes_no_more_than_the_noise(monkeypatch, decodes):
    from pocketvae.train import evaluation

    data = images()
    monkeypatch.setattr(evaluation, "_IMPORTANCE_DECODES", decodes)
    told = []
    exact = evaluator().log_likelihood(data, 130, progress=told.append).negative_log_likelihood_nats
    assert exact == pytest.approx(-exact_log_likelihood(data).mean(), abs=1e-3)
    wrong = evaluator(shift=0.5, widen=1.3).log_likelihood(data, 2000).negative_log_likelihood_nats
    assert wrong == pytest.approx(-exact_log_likelihood(data).mean(), abs=0.03)
    assert (told[-1].done, told[-1].total) == (40, 40)
    assert len(told) == {1: 40, 700: 8, 10_000: 1}[decodes]


def test_a_mixture_prior_counts_with_all_of_its_components():
    from pocketvae.train.priors import build_mixture

    rng = np.random.default_rng(2)
    means, log_scales = rng.normal(size=(4, DIM)), rng.normal(-0.5, 0.2, (4, DIM))
    data = images()
    components = [
        log_normal_full(
            flat(data),
            WEIGHTS @ mean + BIAS,
            WEIGHTS @ np.diag(np.exp(2 * log_scale)) @ WEIGHTS.T + VARIANCE * np.eye(PIXELS),
        )
        for mean, log_scale in zip(means, log_scales, strict=True)
    ]
    exact = -np.log(np.mean(np.exp(components), axis=0)).mean()
    prior = build_mixture(means.astype(np.float32), log_scales.astype(np.float32))
    estimate = evaluator(widen=2, prior=prior).log_likelihood(data, 4000)
    assert estimate.negative_log_likelihood_nats == pytest.approx(exact, abs=0.03)


def test_the_terms_of_the_elbo_are_those_of_the_formulas():
    data = images(2000)
    estimate = evaluator(shift=0.5, widen=1.3).elbo(data)
    z_mean = (flat(data) - BIAS) @ PROJECTION + 0.5 * np.sqrt(POSTERIOR_VARIANCE)
    z_log_var = np.broadcast_to(np.log(POSTERIOR_VARIANCE * 1.3), z_mean.shape)
    kl = gaussian.kl_to_standard_normal(z_mean, z_log_var)
    decoded = z_mean @ WEIGHTS.T + BIAS
    error = np.square(flat(data) - decoded)
    # E |x - Wz|^2 over the posterior adds the trace of its covariance through the weights.
    spread = np.sum(np.square(WEIGHTS) * POSTERIOR_VARIANCE * 1.3)
    reconstruction = 0.5 * (error.sum(axis=1) + spread) / VARIANCE + 0.5 * PIXELS * np.log(2 * np.pi * VARIANCE)
    assert estimate.kl_nats == pytest.approx(kl.mean(), rel=1e-4)
    assert estimate.reconstruction_nats == pytest.approx(reconstruction.mean(), abs=5 * estimate.standard_error_nats)
    assert estimate.negative_elbo_nats == pytest.approx(estimate.reconstruction_nats + estimate.kl_nats, rel=1e-6)
    assert 0.02 < estimate.standard_error_nats < 0.2
    assert estimate.psnr_db == pytest.approx(-10 * np.log10(np.clip(error, 0, 1).mean()), abs=0.05)
    # The third dimension hardly changes a pixel, so its posterior is the prior for every image.
    assert estimate.active_units == 2


def test_the_negative_elbo_is_above_the_negative_log_likelihood_by_the_posterior_s_divergence():
    data = images(2000)
    exact = -exact_log_likelihood(data).mean()
    right, wrong = evaluator().elbo(data), evaluator(shift=0.5, widen=1.3).elbo(data)
    gap = DIM * 0.5 * (1.3 + 0.25 - 1 - np.log(1.3))
    noise = right.standard_error_nats + wrong.standard_error_nats
    assert right.negative_elbo_nats == pytest.approx(exact, abs=4 * noise)
    assert wrong.negative_elbo_nats - right.negative_elbo_nats == pytest.approx(gap, abs=0.2)


def test_the_same_weights_and_images_give_the_same_estimates():
    from pocketvae.train.evaluation import Evaluator

    data, one = images(), evaluator(widen=1.3)
    assert one.elbo(data) == one.elbo(data)
    assert one.log_likelihood(data, 5) == one.log_likelihood(data, 5)
    assert Evaluator(linear_model(widen=1.3), seed=1).elbo(data) != one.elbo(data)


def test_estimates_follow_the_weights(make_parts, small_data):
    parts = make_parts()
    before = parts.evaluator.elbo(small_data.test).negative_elbo_nats
    parts.model.decoder.set_weights([weight + 0.1 for weight in parts.model.decoder.get_weights()])
    assert parts.evaluator.elbo(small_data.test).negative_elbo_nats != before


def test_a_single_image_has_no_standard_error():
    assert evaluator().elbo(images(1)).standard_error_nats == 0


def test_windows_that_overlap_have_the_standard_error_of_those_that_fit_side_by_side():
    from pocketvae.data.timeline import Timeline
    from pocketvae.train.evaluation import likelihood_estimate, overlap_of

    rng = np.random.default_rng(0)
    steps, length, stride = 3200, 64, 16

    def means(stride):
        noise = rng.chisquare(1, (400, steps))
        starts = np.arange(0, steps - length + 1, stride)
        return np.stack([noise[:, start : start + length].mean(axis=1) for start in starts], axis=1)

    values = means(stride)
    starts = np.arange(0, steps - length + 1, stride)
    timeline = Timeline(names=("a",), recordings=np.zeros(len(starts), np.int32), starts=starts, length=length)
    overlap = overlap_of(SimpleNamespace(timeline=timeline))
    told = np.mean([likelihood_estimate(row, 1, overlap).standard_error_nats for row in values])
    assert told == pytest.approx(values.mean(axis=1).std(), rel=0.15)
    # One window each of two recordings, and images.
    apart = timeline.take(np.array([0, 1])).take(slice(None))
    assert overlap_of(SimpleNamespace(timeline=replace(apart, recordings=np.array([0, 1], np.int32)))) == 1
    assert overlap_of(images(3)) == 1


def test_bits_per_dimension_share_the_nats_among_pixels_and_channels():
    from pocketvae.train.evaluation import bits_per_dim

    # 256 equally likely values are 8 bits each, whatever the size.
    nats = 4 * 5 * 3 * np.log(256)

    def vae(likelihood, *shape):
        return VaeSpec(data_shape=shape, latents=vector_latent(1), likelihood=likelihood)

    assert bits_per_dim(vae(Likelihood.DISCRETIZED_LOGISTIC, 4, 5, 3), nats) == pytest.approx(8)
    assert bits_per_dim(vae(Likelihood.BERNOULLI, 28, 28, 1), 784 * np.log(2)) == pytest.approx(1)
    assert bits_per_dim(vae(Likelihood.GAUSSIAN, 4, 5, 3), nats) is None


def test_items_have_the_noise_of_their_place_among_all():
    data, wrong = images(), evaluator(shift=0.5, widen=1.3)
    whole = wrong.importance_nats(data, 130)
    parts = [wrong.importance_nats(data.take(slice(first, first + 16)), 130, first=first) for first in (32, 16, 0)]
    np.testing.assert_array_equal(np.concatenate(parts[::-1]), whole)
