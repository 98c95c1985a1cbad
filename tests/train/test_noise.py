"""The noise that fits residuals best is found, whatever drew them."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def residuals(degrees, scales, count=20_000):
    rng = np.random.default_rng(0)
    return (rng.standard_t(degrees, (count, len(scales))) * scales).astype(np.float32)


def test_a_variance_is_the_mean_square_of_its_channel():
    from pocketvae.train.noise import channel_variances

    squares = np.array([[[1.0, 0.0], [3.0, 0.0]]], np.float32)
    np.testing.assert_array_equal(channel_variances(squares), [2.0, 1e-6])


@pytest.mark.parametrize("degrees", [2.0, 5.0, 20.0])
def test_degrees_of_freedom_and_scales_are_recovered(degrees):
    from pocketvae.train.noise import square_scales, student_t_noise

    scales = np.array([0.1, 3.0])
    squares = np.square(residuals(degrees, scales))
    found, fitted = student_t_noise(squares)
    assert found == pytest.approx(degrees, rel=0.15)
    np.testing.assert_allclose(np.sqrt(fitted), scales, rtol=0.03)
    np.testing.assert_allclose(np.sqrt(square_scales(squares, degrees)), scales, rtol=0.03)


def test_no_other_noise_is_more_likely():
    stats = pytest.importorskip("scipy.stats")
    from pocketvae.train.noise import student_t_noise

    values = residuals(3.0, np.array([0.5]))
    degrees, scales = student_t_noise(np.square(values))

    def likelihood(degrees, scale):
        return stats.t.logpdf(values, degrees, 0, scale).mean()

    best = likelihood(degrees, np.sqrt(scales[0]))
    for other in (likelihood(1.1 * degrees, np.sqrt(scales[0])), likelihood(degrees, 1.05 * np.sqrt(scales[0]))):
        assert other < best


def test_a_gaussian_has_as_many_degrees_as_there_are():
    from pocketvae.train.noise import student_t_noise

    normal = np.random.default_rng(0).normal(size=(20_000, 1)).astype(np.float32)
    degrees, scales = student_t_noise(np.square(normal))
    assert degrees > 30
    assert scales[0] == pytest.approx(1, rel=0.05)
