import numpy as np
import pytest
from scipy import stats

from pocketvae.benchmarks.drift.likelihood import elbo_reason, log_likelihood, log_weights, nll_reason
from pocketvae.fields import Channel, ChannelKind
from pocketvae.vae_spec import DataKind, Likelihood, PriorKind, VaeSpec, vector_latent


def vae(**changes):
    return VaeSpec(**{"data_shape": (2, 2, 1), "latents": vector_latent(2), **changes})


def test_bernoulli():
    x = np.array([1, 0, 1, 0], np.float32).reshape(1, 2, 2, 1)
    p = np.array([0.9, 0.2, 0.5, 0.0], np.float32).reshape(1, 4)
    found = log_likelihood(x, p, vae())
    assert found == pytest.approx(np.log(0.9 * 0.8 * 0.5) + np.log1p(-0.5 / 255))
    certain = log_likelihood(x, 1 - x, vae())
    assert certain == pytest.approx(4 * np.log(0.5 / 255))


def test_gaussian():
    spec = vae(likelihood=Likelihood.GAUSSIAN, noise_scale=0.5, data_range=(-1.0, 1.0))
    x = np.zeros((1, 2, 2, 1), np.float32)
    found = log_likelihood(x, x + np.float32(0.5), spec)
    # On the unit scale the difference is 0.25, half of the noise's scale.
    assert found == pytest.approx(4 * (-0.125 - np.log(0.5) - 0.5 * np.log(2 * np.pi)))


def test_weights_have_the_prior_where_it_has_a_density():
    z = np.ones((1, 2), np.float32)
    posterior = {"z_mean": np.zeros((1, 2), np.float32), "z_log_var": np.zeros((1, 2), np.float32)}
    likelihood = np.array([-3.0])
    assert log_weights(likelihood, z, posterior, vae()) == pytest.approx(-3)
    learned = log_weights(likelihood, z, posterior, vae(prior=PriorKind.REALNVP))
    assert learned == pytest.approx(-3 + 1 + np.log(2 * np.pi))


def test_what_cannot_be_had_says_why():
    assert elbo_reason(vae()) == nll_reason(vae()) == ""
    assert "only returns its mean" in elbo_reason(vae(likelihood=Likelihood.DISCRETIZED_LOGISTIC))
    assert "only returns its mean" in elbo_reason(vae(likelihood=Likelihood.UNKNOWN))
    assert elbo_reason(vae(prior=PriorKind.REALNVP)) == ""
    assert "does not contain its density" in nll_reason(vae(prior=PriorKind.REALNVP))


def of_channels(*channels, likelihood=Likelihood.GAUSSIAN, data=DataKind.SEQUENCE, **changes):
    width = sum(channel.width for channel in channels)
    shape = (5, width) if data is DataKind.SEQUENCE else (width,)
    return vae(data=data, data_shape=shape, channels=channels, likelihood=likelihood, data_range=(-3.0, 3.0), **changes)


def items(spec, seed=0):
    return np.random.default_rng(seed).normal(size=(7, *spec.data_shape)).astype(np.float32)


def test_gaussian_channels_have_their_own_noise():
    spec = of_channels(Channel(noise_scale=0.3), Channel(noise_scale=1.5, mean=4.0, scale=2.0))
    x, mean = items(spec), items(spec, 1)
    expected = stats.norm(mean, [0.3, 1.5]).logpdf(x).sum(axis=(1, 2))
    np.testing.assert_allclose(log_likelihood(x, mean, spec), expected, rtol=1e-6)
    # Artifacts may have flat or larger tensors of the same values.
    np.testing.assert_allclose(log_likelihood(x, mean.reshape(7, -1), spec), expected, rtol=1e-6)
    assert elbo_reason(spec) == ""


def test_student_t():
    channels = Channel(noise_scale=0.3), Channel(noise_scale=1.5)
    spec = of_channels(*channels, likelihood=Likelihood.STUDENT_T, degrees_of_freedom=3.5)
    x, mean = items(spec), items(spec, 1)
    expected = stats.t(3.5, mean, [0.3, 1.5]).logpdf(x).sum(axis=(1, 2))
    np.testing.assert_allclose(log_likelihood(x, mean, spec), expected, rtol=1e-6)


def test_mixed_columns():
    rng = np.random.default_rng(3)
    spec = of_channels(
        Channel(noise_scale=0.7),
        Channel(kind=ChannelKind.BINARY),
        Channel(kind=ChannelKind.CATEGORY, categories=("a", "b", "c")),
        likelihood=Likelihood.MIXED,
        data=DataKind.VECTOR,
    )
    real, mean = rng.normal(size=(2, 9))
    flag, share = rng.integers(0, 2, 9), rng.uniform(0.05, 0.95, 9)
    category, shares = rng.integers(0, 3, 9), rng.dirichlet((2, 2, 2), 9)
    x = np.column_stack([real, flag, np.eye(3)[category]]).astype(np.float32)
    decoded = np.column_stack([mean, share, shares]).astype(np.float32)
    expected = stats.norm(mean, 0.7).logpdf(real) + stats.bernoulli(share).logpmf(flag)
    expected += np.log(shares[np.arange(9), category])
    np.testing.assert_allclose(log_likelihood(x, decoded, spec), expected, rtol=1e-5)


def test_channels_without_noise_have_no_likelihood():
    assert "noise, is not known" in elbo_reason(of_channels(Channel()))
    assert "noise, is not known" in elbo_reason(of_channels(Channel(noise_scale=1.0), likelihood=Likelihood.UNKNOWN))
