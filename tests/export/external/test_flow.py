import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_a_flow_learns_a_shape_and_its_model_draws_it():
    from pocketvae.export.external import flow

    rng = np.random.default_rng(0)

    def moons(count):
        x = rng.standard_normal((count, 2))
        return np.stack([5 * x[:, 0] + 20, np.square(x[:, 0]) + 0.1 * x[:, 1]], axis=1)

    fitted = flow.fit_flow(moons(1500), moons(200), seed=0)
    test = moons(300)
    gaussian = (
        -0.5 * (np.square((test - test.mean(0)) / test.std(0)).sum(1)) - np.log(test.std(0)).sum() - np.log(2 * np.pi)
    )
    assert fitted.log_density(test).mean() > gaussian.mean() + 0.5
    eps = rng.standard_normal((64, 2)).astype(np.float32)
    z = np.asarray(fitted.build((1, 2))(eps, training=False))
    assert z.shape == (64, 1, 2)
    inner = np.asarray(fitted.model(eps, training=False))
    np.testing.assert_allclose(z[:, 0], fitted.centre + fitted.scale * inner, rtol=1e-4, atol=1e-4)
