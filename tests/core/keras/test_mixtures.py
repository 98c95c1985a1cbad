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


def test_a_label_chooses_among_its_own_components():
    from pocketvae.keras.mixtures import build_weighted_mixture

    weights = np.array([[0.3, 0.7, 0, 0], [0, 0, 1, 0], [0, 0.5, 0, 0.5]])
    means = np.arange(4, dtype=np.float32)[:, None] * np.float32(100)
    model = build_weighted_mixture(weights, means, np.ones((4, 1), np.float32), (1,))
    eps = np.zeros((700, 2), np.float32)
    eps[:, 1] = np.linspace(-6, 6, 700)
    for label, expected in enumerate(weights):
        z = np.asarray(model([eps, np.full(700, label, np.int32)], training=False))[:, 0]
        chosen = np.round(z / 100).astype(int)
        assert (np.diff(chosen) >= 0).all()
        assert set(chosen.tolist()) == set(np.flatnonzero(expected).tolist())
    halves = chosen[eps[:, 1] < 0], chosen[eps[:, 1] > 0]
    assert (set(halves[0].tolist()), set(halves[1].tolist())) == ({1}, {3})
