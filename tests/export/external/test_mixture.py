import numpy as np
import pytest

from pocketvae.export.external import mixture
from pocketvae.export.external.mixture import Mixture, fit_mixture

pytest.importorskip("sklearn")


def two_clusters(count, seed):
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((count, 2)) @ np.array([[1.0, 0.95], [0.0, 0.3]])
    return noise + np.where(rng.random((count, 1)) < 0.25, 8.0, -8.0) * np.array([1.0, 0.0])


def test_clusters_are_found_with_their_weights_and_covariances():
    found = fit_mixture(two_clusters(800, 0), two_clusters(200, 1), seed=0)
    assert found.is_full
    assert "full covariance" in found.description
    test = two_clusters(400, 2)
    standard = -0.5 * (np.square(test).sum(1) + 2 * np.log(2 * np.pi))
    assert found.log_density(test).mean() > standard.mean() + 20
    drawn = found.sample(4000, np.random.default_rng(0))
    assert (drawn[:, 0] > 0).mean() == pytest.approx(0.25, abs=0.05)


def test_a_large_latent_has_diagonal_covariances_and_few_latents_few_components():
    z = np.random.default_rng(0).standard_normal((90, 70)) * 3 + 1
    mixture = fit_mixture(z, z[:9], seed=0)
    assert not mixture.is_full
    assert mixture.description == "1 Gaussian with diagonal covariance"
    np.testing.assert_allclose(mixture.means[0], z.mean(0), atol=1e-6)
    np.testing.assert_allclose(mixture.factors[0], z.std(0), rtol=1e-3)


@pytest.mark.parametrize("is_full", [False, True])
def test_densities_are_those_of_samples(is_full):
    factors = np.array([[[2.0, 0], [1, 0.5]], [[1, 0], [0, 1]]]) if is_full else np.array([[2.0, 0.5], [1, 1]])
    mixture = Mixture(weights=np.array([0.3, 0.7]), means=np.array([[0.0, 5], [-4, 0]]), factors=factors)
    # The density integrates to 1 over a grid.
    x, y = np.meshgrid(np.linspace(-14, 12, 261), np.linspace(-10, 12, 221))
    total = np.exp(mixture.log_density(np.stack([x.ravel(), y.ravel()], 1))).sum() * 0.01
    assert total == pytest.approx(1, abs=1e-3)


def test_no_more_components_are_tried_than_fit_better(monkeypatch):
    tried = []
    fitted = mixture._fitted

    def noted(rows, form, count, seed):
        tried.append((form, count))
        return fitted(rows, form, count, seed)

    monkeypatch.setattr(mixture, "_fitted", noted)
    rng = np.random.default_rng(0)
    found = fit_mixture(rng.standard_normal((4000, 3)), rng.standard_normal((400, 3)), seed=0)
    assert len(found.weights) <= 2
    assert {form for form, _ in tried} == {"diag", "full"}
    assert max(count for _, count in tried) < 32


def test_em_runs_on_one_thread(monkeypatch):
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_info

    threads = []
    monkeypatch.setattr(GaussianMixture, "fit", lambda self, rows: threads.extend(threadpool_info()) or self)
    mixture._fitted(np.zeros((4, 2)), "diag", 1, 0)
    assert {pool["num_threads"] for pool in threads} == {1}
