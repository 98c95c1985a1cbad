import math

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.numerics.likelihoods import (
    Observed,
    bernoulli_log_likelihood,
    discretized_logistic_log_likelihood,
    gaussian_log_likelihood,
    has_elbo,
)
from pocketvae.vae_spec import Likelihood, VaeSpec, vector_latent

X = np.array([0, 1], np.uint8).reshape(1, 1, 2, 1)


def test_bernoulli_is_the_sum_of_logarithms():
    p = np.array([0.25, 0.75], np.float32).reshape(1, 1, 2, 1)
    assert bernoulli_log_likelihood(X, p) == pytest.approx([2 * math.log(0.75)])


def test_a_probability_of_exactly_nothing_costs_a_finite_amount():
    p = np.array([1.0, 0.0], np.float32).reshape(1, 1, 2, 1)
    assert bernoulli_log_likelihood(X, p) == pytest.approx([2 * math.log(1e-6)], rel=1e-6)


def test_a_gaussian_of_the_mean_has_the_normal_density():
    x = np.full((1, 1, 1, 1), 0.5)
    assert gaussian_log_likelihood(x, x, 0.1) == pytest.approx([-math.log(0.1 * math.sqrt(2 * math.pi))])


def test_the_masses_of_a_discretized_logistic_sum_to_1():
    x = (np.arange(256) / 255).reshape(256, 1, 1, 1)
    mean, log_scale = np.full_like(x, 0.3), np.full_like(x, -3.0)
    assert np.exp(discretized_logistic_log_likelihood(x, mean, log_scale)).sum() == pytest.approx(1.0)


def test_a_discretized_logistic_gives_black_and_white_all_that_lies_beyond():
    # By hand: the distribution function is a sigmoid; the mean lies half a step from the edge, the scale is a step.
    x, mean = np.array([0.0, 1.0]).reshape(2, 1, 1, 1), np.array([0.5, 254.5]).reshape(2, 1, 1, 1) / 255
    log_scale = np.full_like(x, -math.log(255))
    assert discretized_logistic_log_likelihood(x, mean, log_scale) == pytest.approx([math.log(0.5)] * 2)


def test_a_scale_is_not_taken_for_smaller_than_training_lets_it_be():
    x = np.full((1, 1, 1, 1), 100 / 255)
    values = [
        discretized_logistic_log_likelihood(x, x + 0.01, np.full_like(x, scale))[0] for scale in (-20.0, -7.0, -6.9)
    ]
    assert values[0] == values[1] < values[2]


@pytest.mark.slow
def test_they_are_those_of_training():
    from pocketvae.train import likelihoods as trained

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 4, 4, 1)).astype(np.float32)
    x = (rng.random(logits.shape) < 0.5).astype(np.uint8)
    grey = (rng.integers(0, 256, logits.shape) / 255).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(
        bernoulli_log_likelihood(x, probabilities),
        trained.bernoulli_log_likelihood(x.astype(np.float32), logits),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        gaussian_log_likelihood(grey, probabilities, 0.2),
        trained.gaussian_log_likelihood(grey, probabilities, np.float32(0.04)),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        discretized_logistic_log_likelihood(grey, probabilities, logits - 3),
        trained.discretized_logistic_log_likelihood(grey, probabilities, logits - 3),
        rtol=1e-4,
    )


def test_the_same_images_change_nothing_and_samples_without_an_image_do_not_count():
    rng = np.random.default_rng(0)
    images = rng.random((5, 2, 2, 1)).astype(np.float32)
    other = images.copy()
    other[3:] = 0.5
    observed = Observed(x=(images[:3] > 0.5).astype(np.uint8), likelihood=Likelihood.BERNOULLI)
    assert observed.elbo_change(images, images) == 0
    assert observed.elbo_change(images, other) == 0
    other[0] = 0.5
    assert observed.elbo_change(images, other) > 0


LIKELIHOODS = {
    Likelihood.BERNOULLI: {},
    Likelihood.GAUSSIAN: {"noise_scale": 0.3},
    Likelihood.DISCRETIZED_LOGISTIC: {"log_scale": True},
}


def observed_of(likelihood, count):
    """Images that do not all fit into one part, each with scales of its own."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 2 if likelihood is Likelihood.BERNOULLI else 256, (count, 64, 64, 3), np.uint8)
    values = dict(LIKELIHOODS[likelihood])
    if "log_scale" in values:
        values["log_scale"] = rng.normal(-2, 0.5, x.shape).astype(np.float32)
    images = rng.random((2, *x.shape)).astype(np.float32)
    return Observed(x=x, likelihood=likelihood, **values), *images


def signed_change(observed, one, other):
    """Returns the same change with its sign, of the formulas."""
    x = observed.x.astype(np.float64)
    if observed.likelihood is Likelihood.BERNOULLI:
        terms = [bernoulli_log_likelihood(x, images) for images in (one, other)]
    elif observed.likelihood is Likelihood.GAUSSIAN:
        terms = [gaussian_log_likelihood(x / 255, images, observed.noise_scale) for images in (one, other)]
    else:
        terms = [discretized_logistic_log_likelihood(x / 255, images, observed.log_scale) for images in (one, other)]
    return float(np.mean(terms[1] - terms[0]))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_order_of_the_images_changes_nothing(likelihood):
    observed, one, other = observed_of(likelihood, 5)
    order = np.array([3, 1, 4, 0, 2])
    change = observed.reordered(order).elbo_change(one[order], other[order])
    assert change == pytest.approx(observed.elbo_change(one, other))
    assert change == pytest.approx(abs(signed_change(observed, one, other)))


def test_every_known_likelihood_has_an_elbo():
    for likelihood in LIKELIHOODS:
        assert has_elbo(VaeSpec(data_shape=(1, 1, 1), latents=vector_latent(1), likelihood=likelihood, noise_scale=0.3))


def test_a_change_counts_in_either_direction():
    x = np.ones((1, 1, 1, 1), np.uint8)
    observed = Observed(x=x, likelihood=Likelihood.BERNOULLI)
    low, high = np.full((1, 1), 0.5, np.float32), np.full((1, 1), 0.75, np.float32)
    assert observed.elbo_change(low, high) == pytest.approx(math.log(1.5))
    assert observed.elbo_change(high, low) == pytest.approx(math.log(1.5))


def test_an_unknown_likelihood_has_no_elbo():
    vae = VaeSpec(data_shape=(1, 1, 1), latents=vector_latent(1), likelihood=Likelihood.UNKNOWN)
    assert not has_elbo(vae)
    image = np.zeros((1, 1, 1, 1), np.float32)
    with pytest.raises(SpecError, match="needs a known likelihood, got unknown"):
        Observed.of(vae, image.astype(np.uint8)).elbo_change(image, image)
