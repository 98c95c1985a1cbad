"""The score at the posterior's mean, against distributions of scipy and the formulas of other modules."""

import numpy as np
import pytest
from scipy import stats

from pocketvae.fields import Channel, ChannelKind
from pocketvae.numerics.gaussian import kl_to_standard_normal
from pocketvae.numerics.scoring import CLOSEST, at_mean_nats, measured_noise_scales, needs_noise_scales
from pocketvae.vae_spec import DataKind, Likelihood, PosteriorKind, VaeSpec, vector_latent

RNG = np.random.default_rng(5)
COUNT, DIM = 7, 3
MEANS, LOG_VARIANCES = RNG.normal(size=(COUNT, DIM)), RNG.normal(size=(COUNT, DIM))
KL = kl_to_standard_normal(MEANS, LOG_VARIANCES)


def vae(**changes):
    values = {"data": DataKind.SEQUENCE, "data_shape": (9, 2), "latents": vector_latent(DIM)}
    return VaeSpec(**{**values, **changes})


def pair(shape=(9, 2)):
    return RNG.normal(size=(COUNT, *shape)), RNG.normal(size=(COUNT, *shape))


def channels(*scales):
    return tuple(Channel(noise_scale=scale) for scale in scales)


def test_gaussian_channels_have_noise_of_their_own():
    x, decoded = pair()
    score, parts = at_mean_nats(
        vae(likelihood=Likelihood.GAUSSIAN, channels=channels(0.2, 3.0)), x, decoded, MEANS, LOG_VARIANCES
    )
    expected = -stats.norm(decoded, [0.2, 3.0]).logpdf(x).sum(axis=1)
    np.testing.assert_allclose(parts, expected)
    np.testing.assert_allclose(score, expected.sum(axis=1) + KL)


def test_a_student_s_t_has_heavier_tails():
    x, decoded = pair()
    spec = vae(likelihood=Likelihood.STUDENT_T, degrees_of_freedom=4.0, channels=channels(0.2, 3.0))
    _, parts = at_mean_nats(spec, x, decoded, MEANS, LOG_VARIANCES)
    expected = -stats.t(4.0, decoded, [0.2, 3.0]).logpdf(x).sum(axis=1)
    np.testing.assert_allclose(parts, expected)


def test_each_column_of_a_table_has_the_likelihood_of_its_kind():
    columns = (
        Channel(noise_scale=0.5),
        Channel(kind=ChannelKind.BINARY),
        Channel(kind=ChannelKind.CATEGORY, categories=("a", "b", "c")),
    )
    spec = vae(data=DataKind.VECTOR, data_shape=(5,), likelihood=Likelihood.MIXED, channels=columns)
    x = np.array([[0.3, 1, 0, 1, 0], [-2.0, 0, 1, 0, 0]])
    decoded = np.array([[0.1, 0.8, 0.2, 0.7, 0.1], [0.0, 0.9, 0.25, 0.25, 0.5]])
    score, parts = at_mean_nats(spec, x, decoded, MEANS[:2], LOG_VARIANCES[:2])
    expected = np.stack(
        [-stats.norm(decoded[:, 0], 0.5).logpdf(x[:, 0]), -np.log([0.8, 0.1]), -np.log([0.7, 0.25])], axis=1
    )
    np.testing.assert_allclose(parts, expected)
    np.testing.assert_allclose(score, expected.sum(axis=1) + KL[:2])


def test_binary_images_are_finite_where_the_decoder_is_certain_and_wrong():
    spec = VaeSpec(data_shape=(2, 2, 1), latents=vector_latent(DIM))
    x, decoded = np.ones((COUNT, 2, 2, 1)), np.zeros((COUNT, 2, 2, 1))
    score, _ = at_mean_nats(spec, x, decoded, MEANS, LOG_VARIANCES)
    np.testing.assert_allclose(score, -4 * np.log(CLOSEST) + KL)


def test_pixels_have_their_density_from_0_to_1_in_any_range():
    x, decoded = RNG.random((2, COUNT, 4, 4, 1))
    plain = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(DIM), likelihood=Likelihood.GAUSSIAN, noise_scale=0.1)
    wide = VaeSpec(
        data_shape=(4, 4, 1),
        latents=vector_latent(DIM),
        likelihood=Likelihood.GAUSSIAN,
        noise_scale=0.1,
        data_range=(-1.0, 1.0),
    )
    found = at_mean_nats(plain, x, decoded, MEANS, LOG_VARIANCES)[0]
    np.testing.assert_allclose(found, -stats.norm(decoded, 0.1).logpdf(x).sum(axis=(1, 2, 3)) + KL)
    np.testing.assert_allclose(found, at_mean_nats(wide, 2 * x - 1, 2 * decoded - 1, MEANS, LOG_VARIANCES)[0])


def test_an_unknown_noise_is_that_of_normal_reconstructions():
    x, decoded = pair()
    spec = vae(likelihood=Likelihood.UNKNOWN, posterior=PosteriorKind.NONE)
    assert needs_noise_scales(spec)
    assert not needs_noise_scales(vae(likelihood=Likelihood.GAUSSIAN, channels=channels(0.2, 3.0)))
    assert not needs_noise_scales(VaeSpec(data_shape=(2, 2, 1), latents=vector_latent(DIM)))
    noise = measured_noise_scales(spec, x, decoded)
    assert noise == pytest.approx(np.sqrt(np.square(x - decoded).mean(axis=(0, 1))))
    score, parts = at_mean_nats(spec, x, decoded, MEANS, None, noise)
    np.testing.assert_allclose(parts, -stats.norm(decoded, noise).logpdf(x).sum(axis=1))
    np.testing.assert_allclose(score, parts.sum(axis=1))  # without a posterior there is no KL term


def test_a_channel_that_never_changes_keeps_a_finite_weight():
    x = np.stack([RNG.normal(size=(COUNT, 9)), np.zeros((COUNT, 9))], axis=2)
    noise = measured_noise_scales(vae(likelihood=Likelihood.UNKNOWN), x, np.zeros_like(x))
    assert noise[1] == pytest.approx(1e-3 * noise[0])


def test_what_cannot_be_computed_is_more_than_any_threshold():
    x, decoded = pair()
    x[0] = np.inf
    score, _ = at_mean_nats(
        vae(likelihood=Likelihood.GAUSSIAN, channels=channels(0.2, 3.0)), x, decoded, MEANS, LOG_VARIANCES
    )
    assert score[0] == np.inf
    assert np.isfinite(score[1:]).all()
