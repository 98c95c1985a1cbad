from statistics import NormalDist

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("is_full", [False, True])
def test_a_fitted_mixture_draws_with_its_weights_and_covariances(is_full):
    from pocketvae.keras.mixtures import build_weighted_mixture

    rng = np.random.default_rng(0)
    means = np.array([[10, 0, 0, 0], [-10, 0, 0, 0]], np.float32)
    factors = rng.uniform(0.5, 2, (2, 4)).astype(np.float32)
    if is_full:
        factors = np.tril(rng.standard_normal((2, 4, 4))).astype(np.float32)
    model = build_weighted_mixture(np.array([0.2, 0.8]), means, factors, (2, 2))
    eps = rng.standard_normal((2000, 5)).astype(np.float32)
    z = np.asarray(model(eps, training=False)).reshape(-1, 4)
    chosen = (eps[:, 4] > NormalDist().inv_cdf(0.2)).astype(int)
    assert (chosen == 0).mean() == pytest.approx(0.2, abs=0.03)
    moved = np.einsum("nij,nj->ni", factors[chosen], eps[:, :4]) if is_full else factors[chosen] * eps[:, :4]
    np.testing.assert_allclose(z, means[chosen] + moved, rtol=1e-5, atol=1e-5)
    assert model.output_shape == (None, 2, 2)
