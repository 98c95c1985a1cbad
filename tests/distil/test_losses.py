import numpy as np
import pytest
from scipy.stats import t as student_t

from pocketvae.fields import Channel, ChannelKind
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

pytestmark = pytest.mark.slow


def vae(likelihood=Likelihood.BERNOULLI, shape=(4, 4, 1), kind=DataKind.IMAGE, **more):
    return VaeSpec(data=kind, data_shape=shape, latents=vector_latent(2), likelihood=likelihood, **more)


def distance(spec, outputs, targets):
    from pocketvae.distil.losses import distance as of

    return np.asarray(of(spec, [np.asarray(o, np.float32) for o in outputs], [np.float32(t) for t in targets]))


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_of_binary_pixels_it_is_the_kl_divergence():
    logits, others = drawn(3, 4, 4, 1), drawn(3, 4, 4, 1, seed=1)
    p, q = sigmoid(others), sigmoid(logits)
    kl = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(distance(vae(), [logits], [p]), kl, rtol=1e-4)
    np.testing.assert_allclose(distance(vae(), [others], [p]), 0, atol=1e-4)


def test_of_a_teacher_with_tanh_it_is_0_only_where_the_student_returns_the_same():
    spec = vae(Likelihood.UNKNOWN, data_range=(-1.0, 1.0))
    values = drawn(3, 4, 4, 1)
    np.testing.assert_allclose(distance(spec, [values], [np.tanh(values)]), 0, atol=1e-4)
    assert (distance(spec, [values + 0.3], [np.tanh(values)]) > 0.1).all()


def test_of_means_it_is_the_kl_divergence_of_gaussians():
    spec = vae(Likelihood.GAUSSIAN, noise_scale=0.1)
    means, wanted = np.full((2, 4, 4, 1), 0.5), np.full((2, 4, 4, 1), 0.45)
    np.testing.assert_allclose(distance(spec, [means], [wanted]), 16 * 0.05**2 / (2 * 0.1**2), rtol=1e-4)


def test_what_the_head_clips_may_lie_anywhere_beyond():
    spec = vae(Likelihood.GAUSSIAN, noise_scale=1.0)
    wanted = np.zeros((1, 4, 4, 1))
    wanted[0, :2] = 1.0
    beyond = np.where(wanted > 0, 1.7, -0.4)
    np.testing.assert_array_equal(distance(spec, [beyond], [wanted]), 0)
    np.testing.assert_allclose(distance(spec, [1 - wanted], [wanted]), 8.0)


def test_each_channel_counts_in_units_of_its_noise():
    channels = (Channel(name="a", noise_scale=0.1), Channel(name="b", noise_scale=10.0))
    spec = vae(Likelihood.GAUSSIAN, (5, 2), DataKind.SEQUENCE, channels=channels, range_is_strict=False)
    off = np.zeros((1, 5, 2))
    off[..., 0] = 0.1
    np.testing.assert_allclose(distance(spec, [off], [0 * off]), 5 * 0.5, rtol=1e-5)
    np.testing.assert_allclose(distance(spec, [off[..., ::-1]], [0 * off]), 5 * 0.5e-4, rtol=1e-5)


def test_mixed_columns_each_have_the_divergence_of_their_kind():
    channels = (
        Channel(name="real", noise_scale=0.5),
        Channel(name="yes", kind=ChannelKind.BINARY),
        Channel(name="kind", kind=ChannelKind.CATEGORY, categories=("a", "b", "c")),
    )
    spec = vae(Likelihood.MIXED, (5,), DataKind.VECTOR, channels=channels, range_is_strict=False)
    outputs, others = drawn(4, 5), drawn(4, 5, seed=1)

    def means(values):
        weights = np.exp(values[:, 2:])
        return np.column_stack([values[:, 0], sigmoid(values[:, 1]), weights / weights.sum(1, keepdims=True)])

    p, q = means(others), means(outputs)
    kl = 0.5 * ((p[:, 0] - q[:, 0]) / 0.5) ** 2 + (p[:, 2:] * np.log(p[:, 2:] / q[:, 2:])).sum(axis=1)
    kl += p[:, 1] * np.log(p[:, 1] / q[:, 1]) + (1 - p[:, 1]) * np.log((1 - p[:, 1]) / (1 - q[:, 1]))
    np.testing.assert_allclose(distance(spec, [outputs], [p]), kl, rtol=1e-4)


def test_means_and_scales_of_a_logistic_are_both_learned():
    spec = vae(Likelihood.DISCRETIZED_LOGISTIC)
    zeros, some = np.zeros((1, 4, 4, 1)), np.full((1, 4, 4, 1), 0.1)
    np.testing.assert_array_equal(distance(spec, [some, zeros], [some, zeros]), 0)
    np.testing.assert_allclose(distance(spec, [some, zeros], [zeros, zeros]), 0.16, rtol=1e-5)
    np.testing.assert_allclose(distance(spec, [zeros, some], [zeros, zeros]), 0.16, rtol=1e-5)


def test_scales_below_the_least_one_of_the_likelihood_count_as_that():
    spec = vae(Likelihood.DISCRETIZED_LOGISTIC)
    zeros, some = np.zeros((1, 4, 4, 1)), np.full((1, 4, 4, 1), 0.001)
    expected = distance(spec, [some, zeros - 7], [zeros, zeros - 7])
    for student in (-7, -9):
        np.testing.assert_array_equal(distance(spec, [some, zeros + student], [zeros, zeros - 12]), expected)
    # Of a teacher above the bound a student below it still learns.
    assert distance(spec, [zeros, zeros - 9], [zeros, zeros - 6]) == pytest.approx(9 * 16)


def test_a_student_of_outliers_has_the_maximum_of_the_likelihood():
    channels = (Channel(name="a", noise_scale=0.5),)
    spec = vae(
        Likelihood.STUDENT_T,
        (1, 1),
        DataKind.SEQUENCE,
        channels=channels,
        degrees_of_freedom=2.0,
        range_is_strict=False,
    )
    items = np.concatenate([drawn(200) * 0.5, np.full(12, 60.0)]).reshape(-1, 1, 1)
    places = np.linspace(-1, 5, 121)
    losses = [distance(spec, [np.full_like(items, place)], [items]).sum() for place in places]
    likelihoods = [student_t.logpdf((items - place) / 0.5, 2.0).sum() for place in places]
    assert np.argmin(losses) == np.argmax(likelihoods)
    # And it is that likelihood, but for a constant.
    np.testing.assert_allclose(np.ptp(losses + np.array(likelihoods)), 0, atol=0.05)


def test_nats_are_known_where_the_noise_is():
    from pocketvae.distil.losses import in_nats

    assert in_nats(vae())
    assert in_nats(vae(Likelihood.GAUSSIAN, noise_scale=0.1))
    assert not in_nats(vae(Likelihood.UNKNOWN))
    assert not in_nats(vae(Likelihood.DISCRETIZED_LOGISTIC))
