import numpy as np
import pytest

from pocketvae.benchmarks.drift.likelihood import elbo_reason, log_likelihood, log_weights, nll_reason
from pocketvae.vae_spec import Likelihood, PriorKind, VaeSpec, vector_latent


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
