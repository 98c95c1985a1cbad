import numpy as np
import pytest

from pocketvae import gaussian

pytestmark = pytest.mark.slow


def test_the_bernoulli_likelihood_is_the_product_of_pixel_probabilities():
    from pocketvae.train import objective

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 4, 4, 1))
    x = (rng.random(logits.shape) < 0.5).astype(np.float64)
    p = 1 / (1 + np.exp(-logits))
    expected = np.log(np.where(x == 1, p, 1 - p)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(objective.bernoulli_log_likelihood(x, logits), expected)


def test_the_likelihood_stays_finite_where_the_probability_rounds_to_zero():
    from pocketvae.train import objective

    x, logits = np.ones((1, 1, 1, 1), np.float32), np.full((1, 1, 1, 1), -200, np.float32)
    assert objective.bernoulli_log_likelihood(x, logits).numpy()[0] == pytest.approx(-200)


def test_the_divergence_agrees_with_numpy_s():
    from pocketvae.train import objective

    rng = np.random.default_rng(1)
    mean, log_var = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    np.testing.assert_allclose(
        objective.kl_to_standard_normal(mean, log_var), gaussian.kl_to_standard_normal(mean, log_var)
    )


def test_binarization_turns_a_pixel_on_as_often_as_its_grey_value_says():
    from pocketvae.train import objective

    uniform = np.random.default_rng(2).random(100_000).astype(np.float32)
    for grey in (0.0, 0.3, 1.0):
        on = objective.binarize(np.full(100_000, grey, np.float32), uniform)
        assert float(np.mean(on)) == pytest.approx(grey, abs=0.01)
