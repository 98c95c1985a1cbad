import numpy as np
import pytest

pytestmark = pytest.mark.slow
LEVELS = np.arange(256) / 255


def random_pixels(*shape, binary=False):
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, shape).astype(float) if binary else rng.integers(0, 256, shape) / 255


def test_the_bernoulli_likelihood_is_the_product_of_pixel_probabilities():
    from pocketvae.train import likelihoods

    logits = np.random.default_rng(1).normal(size=(3, 4, 5, 1))
    x = random_pixels(3, 4, 5, 1, binary=True)
    p = 1 / (1 + np.exp(-logits))
    expected = np.log(np.where(x == 1, p, 1 - p)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(likelihoods.bernoulli_log_likelihood(x, logits), expected)


def test_the_bernoulli_likelihood_stays_finite_where_the_probability_rounds_to_zero():
    from pocketvae.train import likelihoods

    x, logits = np.ones((1, 1, 1, 1), np.float32), np.full((1, 1, 1, 1), -200, np.float32)
    assert likelihoods.bernoulli_log_likelihood(x, logits).numpy()[0] == pytest.approx(-200)


def test_the_gaussian_likelihood_is_the_product_of_pixel_densities():
    from pocketvae.train import likelihoods

    x, mean, variance = random_pixels(3, 4, 5, 3), np.random.default_rng(1).normal(size=(3, 4, 5, 3)), np.float64(0.07)
    density = np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    expected = np.log(density).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(likelihoods.gaussian_log_likelihood(x, mean, variance), expected)


def test_the_optimal_variance_is_the_one_of_highest_likelihood():
    from pocketvae.train import likelihoods

    x = random_pixels(3, 4, 5, 1)
    mean = x + np.random.default_rng(1).normal(0, 0.2, x.shape)
    best = np.float64(likelihoods.optimal_variance(x, mean))

    def total(variance):
        return float(np.sum(likelihoods.gaussian_log_likelihood(x, mean, np.float64(variance))))

    assert all(total(best) > total(best * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2))


def test_the_optimal_variance_of_a_perfect_reconstruction_is_not_zero():
    from pocketvae.train import likelihoods

    x = random_pixels(2, 3, 3, 1)
    assert float(likelihoods.optimal_variance(x, x)) == pytest.approx(1e-6)


def logistic_mass(low, high, mean, scale):
    """The logistic's mass between two bounds, computed in the tail in which a difference is exact."""
    low, high = (low - mean) / scale, (high - mean) / scale
    low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
    return 1 / (1 + np.exp(-high)) - 1 / (1 + np.exp(-low))


def test_the_discretized_logistic_is_a_difference_of_distribution_functions():
    from pocketvae.train import likelihoods

    rng = np.random.default_rng(1)
    shape = (6, 4, 5, 3)
    mean, log_scale = rng.uniform(-0.2, 1.2, shape), rng.uniform(-4, 0, shape)
    x = random_pixels(*shape)
    x[0], x[1] = 0, 1
    low, high = np.where(x == 0, -1e9, x - 1 / 510), np.where(x == 1, 1e9, x + 1 / 510)
    with np.errstate(over="ignore"):
        mass = logistic_mass(low, high, mean, np.exp(log_scale))
    actual = likelihoods.discretized_logistic_log_likelihood(x, mean, log_scale)
    np.testing.assert_allclose(actual, np.log(mass).sum(axis=(1, 2, 3)), rtol=1e-9)


def every_level(mean, log_scale):
    """Returns the log-masses of all 256 values of one pixel in float32, as in training, and their gradients."""
    import tensorflow as tf

    from pocketvae.train import likelihoods

    parameters = [tf.constant(value, tf.float32, (1, 1, 1, 1)) for value in (mean, log_scale)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        x = tf.constant(LEVELS.reshape(256, 1, 1, 1), tf.float32)
        log_mass = likelihoods.discretized_logistic_log_likelihood(x, *parameters)
    return log_mass.numpy(), np.array(tape.jacobian(log_mass, parameters))


@pytest.mark.parametrize("mean", [-1000.0, -1.0, 0.0, 0.3, 0.5, 128.5 / 255, 1.0, 2.0, 1000.0])
@pytest.mark.parametrize("log_scale", [-50.0, -7.0, -4.0, -1.0, 0.0, 5.0, 20.0])
def test_the_masses_of_all_pixel_values_sum_to_one_and_are_finite(mean, log_scale):
    log_mass, gradients = every_level(mean, log_scale)
    assert np.isfinite(log_mass).all()
    assert np.isfinite(gradients).all()
    assert np.exp(log_mass.astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)


def test_all_mass_beyond_black_and_white_falls_on_them():
    for mean, index in ((-5.0, 0), (6.0, 255)):
        log_mass, _ = every_level(mean, -3.0)
        assert np.argmax(log_mass) == index
        assert log_mass[index] == pytest.approx(0, abs=1e-6)


def test_likelihoods_broadcast_over_importance_samples():
    from pocketvae.train import likelihoods

    rng = np.random.default_rng(1)
    x, one, two = random_pixels(3, 4, 4, 1), *rng.normal(size=(2, 2, 3, 4, 4, 1))
    for function, parameters in (
        (likelihoods.bernoulli_log_likelihood, [one]),
        (lambda x, mean: likelihoods.gaussian_log_likelihood(x, mean, np.float64(0.1)), [one]),
        (likelihoods.discretized_logistic_log_likelihood, [one, two]),
    ):
        both = np.asarray(function(x, *parameters))
        assert both.shape == (2, 3)
        np.testing.assert_allclose(both[1], function(x, *(values[1] for values in parameters)))


def test_binarization_turns_a_pixel_on_as_often_as_its_grey_value_says():
    from pocketvae.train import likelihoods

    uniform = np.random.default_rng(2).random(100_000).astype(np.float32)
    for grey in (0.0, 0.3, 1.0):
        on = likelihoods.binarize(np.full(100_000, grey, np.float32), uniform)
        assert set(np.unique(on)) <= {0, 1}
        assert float(np.mean(on)) == pytest.approx(grey, abs=0.01)


def test_the_student_t_likelihood_is_the_density_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    from pocketvae.train import likelihoods

    rng = np.random.default_rng(3)
    x, mean = rng.normal(size=(2, 5, 7, 2))
    scales = np.array([0.3, 2.0])
    found = likelihoods.student_t_log_likelihood(x, mean, scales**2, np.float64(3.0), (-2, -1))
    np.testing.assert_allclose(found, stats.t.logpdf(x, 3.0, mean, scales).sum(axis=(1, 2)))


def test_a_gaussian_has_a_variance_for_each_channel():
    stats = pytest.importorskip("scipy.stats")
    from pocketvae.train import likelihoods

    rng = np.random.default_rng(3)
    x, mean = rng.normal(size=(2, 5, 7, 2))
    variance = np.asarray(likelihoods.optimal_variance(x, mean, by_channel=True))
    np.testing.assert_allclose(variance, np.square(x - mean).mean(axis=(0, 1)))
    found = likelihoods.gaussian_log_likelihood(x, mean, variance, (-2, -1))
    np.testing.assert_allclose(found, stats.norm.logpdf(x, mean, np.sqrt(variance)).sum(axis=(1, 2)))


def test_the_optimal_scale_of_student_s_t_is_the_one_of_highest_likelihood():
    from pocketvae.train import likelihoods

    rng = np.random.default_rng(4)
    x, mean = rng.standard_t(3, (2, 400, 8, 2)) * [0.1, 5.0], np.zeros((400, 8, 2))
    for one in x:
        best = np.asarray(likelihoods.optimal_square_scale(one, mean, np.float64(3.0)))

        def likelihood(scale, one=one):
            return float(np.mean(likelihoods.student_t_log_likelihood(one, mean, scale, np.float64(3.0), (-2, -1))))

        for factor in (0.9, 1.1):
            assert likelihood(best * factor) < likelihood(best)


def test_columns_of_every_kind_have_their_own_likelihood():
    stats = pytest.importorskip("scipy.stats")
    from pocketvae.fields import Channel, ChannelKind
    from pocketvae.keras.heads import data_head
    from pocketvae.numerics import likelihoods as reference
    from pocketvae.train import likelihoods
    from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

    rng = np.random.default_rng(5)
    channels = (
        Channel(name="a", noise_scale=0.5),
        Channel(name="b", kind=ChannelKind.BINARY),
        Channel(name="c", kind=ChannelKind.CATEGORY, categories=("x", "y", "z")),
        Channel(name="d", noise_scale=0.5),
    )
    outputs = rng.normal(size=(2, 9, 6))
    x = np.concatenate([rng.normal(size=(9, 1)), rng.integers(0, 2, (9, 1)), np.eye(3)[rng.integers(0, 3, 9)]], axis=1)
    x = np.concatenate([x, rng.normal(size=(9, 1))], axis=1)
    found = np.asarray(likelihoods.mixed_log_likelihood(x, outputs, channels, np.full(6, 0.25), (-1,)))
    p, exp = 1 / (1 + np.exp(-outputs[..., 1])), np.exp(outputs[..., 2:5])
    expected = stats.norm.logpdf(x[:, 0], outputs[..., 0], 0.5) + stats.norm.logpdf(x[:, 5], outputs[..., 5], 0.5)
    expected += np.log(np.where(x[:, 1] == 1, p, 1 - p))
    expected += np.log(((exp / exp.sum(axis=-1, keepdims=True)) * x[:, 2:5]).sum(axis=-1))
    np.testing.assert_allclose(found, expected)
    vae = VaeSpec(
        data=DataKind.VECTOR,
        data_shape=(6,),
        latents=vector_latent(1),
        likelihood=Likelihood.MIXED,
        channels=channels,
        range_is_strict=False,
    )
    decoded = np.asarray(data_head(vae, outputs[0]))
    np.testing.assert_allclose(reference.log_likelihood(vae, x, decoded), expected[0])
