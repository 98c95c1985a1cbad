import numpy as np
import pytest

from pocketvae.numerics import gaussian

pytestmark = pytest.mark.slow


def test_the_divergence_agrees_with_numpy_s():
    from pocketvae.train import objective

    rng = np.random.default_rng(1)
    mean, log_var = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    np.testing.assert_allclose(
        np.sum(objective.kl_to_standard_normal(mean, log_var), axis=-1), gaussian.kl_to_standard_normal(mean, log_var)
    )


def test_densities_agree_with_numpy_s():
    from pocketvae.train import objective

    rng = np.random.default_rng(1)
    mean, log_var, eps = rng.normal(size=(3, 2, 5, 4))
    z = mean + np.exp(0.5 * log_var) * eps
    np.testing.assert_allclose(objective.log_normal(eps, log_var), gaussian.log_normal(z, mean, log_var))
    zeros = np.zeros_like(z)
    np.testing.assert_allclose(objective.log_standard_normal(z), gaussian.log_normal(z, zeros, zeros))


def test_the_bound_is_the_logarithm_of_the_mean_weight():
    from pocketvae.train import objective

    log_weights = np.random.default_rng(1).normal(-3, 2, (7, 5))
    expected = np.log(np.exp(log_weights).mean(axis=0))
    np.testing.assert_allclose(objective.importance_bound(log_weights), expected)


def test_the_bound_holds_for_weights_that_underflow():
    from pocketvae.train import objective

    log_weights = np.random.default_rng(1).normal(0, 2, (7, 5))
    far = objective.importance_bound(log_weights - 5000)
    np.testing.assert_allclose(far, objective.importance_bound(log_weights) - 5000)


def test_the_bound_of_one_sample_is_the_elbo_of_that_sample():
    from pocketvae.train import objective

    log_weights = np.random.default_rng(1).normal(-100, 5, (1, 8))
    np.testing.assert_allclose(objective.importance_bound(log_weights), log_weights[0])


def test_the_bound_grows_with_the_number_of_samples():
    # Burda et al. 2016, theorem 1; over 20,000 images the means differ by many standard errors.
    from pocketvae.train import objective

    log_weights = np.random.default_rng(1).normal(0, 1, (16, 20_000))
    bounds = [float(np.mean(objective.importance_bound(log_weights[:count]))) for count in (1, 2, 4, 16)]
    assert bounds == sorted(bounds)
    # The mean of a log-normal weight is exp(1/2), which the bound approaches from below.
    assert bounds[0] < 0.05
    assert 0.4 < bounds[-1] < 0.5


def test_free_bits_charge_every_dimension_at_least_its_share():
    from pocketvae.train import objective

    kl = np.array([[0.0, 1.0, 3.0], [0.2, 0.4, 5.0]])
    # Means over the batch: 0.1, 0.7 and 4; the first is below the free half nat.
    assert float(objective.with_free_bits(kl, 0.5)) == pytest.approx(0.5 + 0.7 + 4)
    assert float(objective.with_free_bits(kl, 0.0)) == pytest.approx(0.1 + 0.7 + 4)


def test_logits_are_penalized_where_they_exceed_their_bounds():
    from pocketvae.train import objective

    logits = np.zeros((1, 2, 2, 2, 1), np.float32)
    assert float(objective.excess_penalty(logits)) == 0
    logits[0, 0, 0, 0], logits[0, 1, 0], logits[0, 1, 1] = 11, -12, 9
    # The square of 2 in one image and twice that of 3 in the other.
    assert float(objective.excess_penalty(logits)) == pytest.approx(0.01 * (4 + 18) / 2)


def test_a_dimension_below_its_free_bits_has_no_gradient():
    import tensorflow as tf

    from pocketvae.train import objective

    kl = tf.constant([[0.0, 1.0], [0.2, 0.4]])
    with tf.GradientTape() as tape:
        tape.watch(kl)
        charged = objective.with_free_bits(kl, 0.5)
    np.testing.assert_allclose(tape.gradient(charged, kl), [[0, 0.5], [0, 0.5]])


def test_posteriors_that_8_bits_cannot_tell_apart_are_penalized():
    from pocketvae.train import objective

    wide = np.full((2, 3), 2 * np.log(0.1), np.float32)
    assert float(objective.sharpness_penalty(wide)) == pytest.approx(0, abs=1e-10)
    narrow = wide - np.array([[0, 1, 2], [0, 0, 0]], np.float32)
    assert float(objective.sharpness_penalty(narrow)) == pytest.approx((1 + 4) / 2, rel=1e-5)


@pytest.mark.parametrize("samples", [1, 3])
def test_the_gradient_without_the_score_has_the_same_mean(samples):
    """z ~ N(0.5, 0.9^2) for a target N(0.8, 0.6^2), scaled by a weight of the model: 200,000 draws."""
    import tensorflow as tf

    from pocketvae.train import objective

    eps = tf.random.stateless_normal([samples, 200_000, 1], [0, samples])
    parameters = [tf.Variable(0.5), tf.Variable(2 * np.log(0.9).astype(np.float32)), tf.Variable(1.0)]

    def log_weights(path):
        z_mean, z_log_var, scale = (tf.fill([200_000, 1], 1.0) * value for value in parameters)
        z = z_mean + tf.exp(0.5 * z_log_var) * eps
        log_q = objective.log_normal(eps, z_log_var)
        if path is not None:
            z = path.through(z)
            log_q = objective.log_normal_of(z, z_mean, z_log_var)
        return objective.log_standard_normal((scale * z - 0.8) / 0.6) + tf.math.log(scale[:, 0] / 0.6) - log_q

    def gradients(path):
        with tf.GradientTape() as tape:
            bounds = (objective.importance_bound if path is None else path.bound)(log_weights(path))
            total = tf.reduce_mean(bounds)
        return float(total), [float(value) for value in tape.gradient(total, parameters)]

    (bound, expected), (same, found) = gradients(None), gradients(objective.WeightedPath())
    assert same == pytest.approx(bound, abs=1e-5)
    # Standard errors of both are below 0.004.
    assert found[:2] == pytest.approx(expected[:2], abs=0.015)
    assert found[2] == pytest.approx(expected[2], abs=1e-5)
    assert np.abs(expected[:2]).min() > 0.05


def test_the_gradient_without_the_score_vanishes_at_the_true_posterior():
    import tensorflow as tf

    from pocketvae.train import objective

    eps = tf.random.stateless_normal([4, 5, 2], [0, 0])
    z_mean, z_log_var = tf.Variable(tf.fill([5, 2], 0.3)), tf.Variable(tf.fill([5, 2], -1.0))
    for path, is_nothing in ((objective.WeightedPath(), True), (None, False)):
        with tf.GradientTape() as tape:
            z = z_mean + tf.exp(0.5 * z_log_var) * eps
            log_q = objective.log_normal(eps, z_log_var)
            if path is not None:
                z = path.through(z)
                log_q = objective.log_normal_of(z, z_mean, z_log_var)
            log_p = objective.log_normal((z - 0.3) * np.exp(0.5).astype(np.float32), tf.fill([5, 2], -1.0))
            bound = (objective.importance_bound if path is None else path.bound)(log_p - log_q)
        largest = max(float(tf.reduce_max(tf.abs(value))) for value in tape.gradient(bound, [z_mean, z_log_var]))
        assert (largest < 1e-5) == is_nothing
