import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pocketvae.numerics import gaussian

finite = st.floats(-3, 3)


@given(finite, finite, finite, finite)
def test_kl_agrees_with_numerical_integration(mean_p, log_var_p, mean_q, log_var_q):
    # An independent computation: the integral of p log(p/q) by the trapezoid rule over ten sigma of p.
    sigma = np.exp(0.5 * log_var_p)
    z = np.linspace(mean_p - 10 * sigma, mean_p + 10 * sigma, 20001)
    log_p = -0.5 * (np.log(2 * np.pi) + log_var_p + (z - mean_p) ** 2 / np.exp(log_var_p))
    log_q = -0.5 * (np.log(2 * np.pi) + log_var_q + (z - mean_q) ** 2 / np.exp(log_var_q))
    expected = np.trapezoid(np.exp(log_p) * (log_p - log_q), z)
    arrays = [np.array([[value]]) for value in (mean_p, log_var_p, mean_q, log_var_q)]
    assert gaussian.kl_divergence(*arrays)[0] == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_kl_to_the_standard_normal_is_the_special_case():
    rng = np.random.default_rng(0)
    mean, log_var = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    zeros = np.zeros_like(mean)
    np.testing.assert_allclose(
        gaussian.kl_to_standard_normal(mean, log_var), gaussian.kl_divergence(mean, log_var, zeros, zeros)
    )


def test_log_normal_agrees_with_the_density_of_each_dimension():
    z, mean, log_var = np.random.default_rng(2).normal(size=(3, 4, 2))
    sigma = np.exp(0.5 * log_var)
    density = np.exp(-((z - mean) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(gaussian.log_normal(z, mean, log_var), np.log(density).sum(axis=1))
    assert gaussian.log_normal(z, mean, log_var).shape == (4,)


def test_reparameterization_has_the_posterior_s_moments():
    rng = np.random.default_rng(1)
    mean, log_var = np.full((200_000, 1), 1.5), np.full((200_000, 1), np.log(0.25))
    z = gaussian.reparameterize(mean, log_var, rng.standard_normal(mean.shape))
    assert z.mean() == pytest.approx(1.5, abs=0.01)
    assert z.std() == pytest.approx(0.5, abs=0.01)


def test_densities_are_those_of_scipy():
    rng = np.random.default_rng(2)
    z, mean, log_var = (rng.normal(size=(50, 6)) for _ in range(3))
    expected = stats.norm.logpdf(z, mean, np.exp(0.5 * log_var)).sum(axis=1)
    # A sum of 6 terms in float64.
    np.testing.assert_allclose(gaussian.log_normal(z, mean, log_var), expected, rtol=1e-13)
