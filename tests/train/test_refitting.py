from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.bundle.run import open_run
from pocketvae.data.dataset import ImageSet
from pocketvae.keras.io import load_model
from pocketvae.numerics.gaussian import log_normal
from pocketvae.train import evaluate, refitting, train
from pocketvae.vae_spec import PriorKind, VaeSpec, vector_latent

CENTRES = np.array([[0, 0, 0], [40, 0, -3], [0, -7, 9]], np.float32)


def posteriors(each=200, spread=0.5, sigma=0.3):
    rng = np.random.default_rng(0)
    mean = np.concatenate([centre + spread * rng.standard_normal((each, 3)) for centre in CENTRES]).astype(np.float32)
    return mean, np.full_like(mean, sigma**2)


def test_each_cluster_of_posteriors_becomes_a_component_as_wide_as_they_are():
    mean, var = posteriors()
    means, log_scales = refitting.fit_components(mean, var, 3, np.random.default_rng(2))
    order = np.argsort(means[:, 2])
    np.testing.assert_allclose(means[order], CENTRES[[1, 0, 2]], atol=0.15)
    # The spread of the means and the posteriors' own width together, and a little of the whole.
    least = np.sqrt(1e-3) * mean.std(axis=0)
    np.testing.assert_allclose(np.exp(log_scales), np.sqrt(0.5**2 + 0.3**2 + least**2) * np.ones((3, 3)), rtol=0.12)


def test_one_component_has_the_moments_of_all_and_its_bound_is_the_exact_expectation():
    mean, var = posteriors()
    first = np.zeros((1, 3), np.float32)
    _, means, variances = refitting._em_step(mean, var, first, first + 1)
    np.testing.assert_allclose(means[0], mean.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(variances[0], mean.var(axis=0) + 0.3**2 + 1e-3, rtol=1e-3)
    bound, *_ = refitting._em_step(mean, var, means, variances)
    # E_q[log N(z; m, s)] of a Gaussian q is the log-density of its mean, less half its variance in units of s.
    scales = np.log(variances).repeat(len(mean), axis=0)
    exact = log_normal(mean - means, np.zeros_like(mean), scales) - 0.5 * (var / variances).sum(axis=1)
    assert bound == pytest.approx(float(exact.mean()), rel=1e-4)


def test_every_step_raises_the_bound_and_blocks_do_not_change_it(monkeypatch):
    mean, var = posteriors(each=50)
    parts = [(mean[:7].copy(), np.ones((7, 3), np.float32))]
    bounds = []
    for _ in range(12):
        bound, *components = refitting._em_step(mean, var, *parts[-1])
        bounds.append(bound)
        parts.append(tuple(components))
    assert all(after > before - 1e-3 for before, after in pairwise(bounds))
    assert bounds[-1] > bounds[0] + 1
    monkeypatch.setattr(refitting, "_BLOCK_VALUES", 60)
    again, *components = refitting._em_step(mean, var, *parts[-2])
    assert again == pytest.approx(bounds[-1], rel=1e-5)
    np.testing.assert_allclose(components, parts[-1], rtol=1e-3, atol=1e-4)


def test_a_component_that_no_posterior_belongs_to_stays_where_it_is():
    mean, var = posteriors(each=20)
    means = np.concatenate([CENTRES, [[1e3, 1e3, 1e3]]]).astype(np.float32)
    _, after, variances = refitting._em_step(mean, var, means, np.ones_like(means))
    np.testing.assert_array_equal(after[3], means[3])
    assert np.isfinite(after).all()
    assert variances[3].tolist() == [1, 1, 1]


def test_the_chosen_items_are_never_one_array(monkeypatch, small_config):
    taken = []

    class Watched(ImageSet):
        def take(self, indices):
            taken.append(len(indices))
            return super().take(indices)

    images = np.random.default_rng(0).integers(0, 256, (900, 1, 2, 1), np.uint8)
    spec = VaeSpec(data_shape=(1, 2, 1), latents=vector_latent(2))
    model = SimpleNamespace(
        spec=spec,
        observe=lambda x, noise: x / np.float32(255),
        encode=lambda x, labels: (x.reshape(-1, 2), np.zeros((len(x), 2), np.float32)),
        with_prior=lambda prior, spec: prior,
    )
    monkeypatch.setattr(refitting, "_MOST_ROWS", 700)
    monkeypatch.setattr(refitting, "build_mixture", lambda means, log_scales: (means, log_scales))
    config = small_config(prior="realnvp", couplings=2, coupling_units=4, refit_components=5)
    found = refitting.refitted(model, Watched(images=images), config)
    assert taken == [500, 200]
    rng = np.random.default_rng([config.seed, refitting._STREAM])
    mean = ImageSet(images=images).some(700, rng).images.reshape(-1, 2) / np.float32(255)
    np.testing.assert_array_equal(found, refitting.fit_components(mean, np.ones_like(mean), 5, rng))


@pytest.mark.slow
@pytest.mark.parametrize(("augmented_epochs", "is_changed"), [(0, True), (1, False), (2, True)])
def test_posteriors_are_those_of_the_images_that_training_saw_last(small_config, augmented_epochs, is_changed):
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), np.uint8)
    model = SimpleNamespace(
        observe=lambda x, noise: np.asarray(x, np.float32),
        encode=lambda x, labels: (x.reshape(len(x), -1), np.zeros((len(x), 64), np.float32)),
    )
    config = small_config(epochs=2, shift_pixels=3, augmented_epochs=augmented_epochs)
    means, _ = refitting._posteriors(model, ImageSet(images=images), np.arange(64), config)
    assert np.array_equal(means[:64], images.reshape(64, -1)) != is_changed


@pytest.mark.slow
@pytest.mark.parametrize(("wanted", "made"), [(5, 5), (1000, 64)])
def test_a_run_is_written_with_the_refitted_prior(tmp_path, small_npz, small_config, wanted, made):
    config = small_config(
        prior="realnvp", couplings=2, coupling_units=4, refit_components=wanted, shift_pixels=1, ema_decay=0.9
    )
    record = train(source=str(small_npz), out=tmp_path / "run", config=config, preset="x")
    assert record.vae.prior is PriorKind.MIXTURE
    # 128 training images: a component for every two at most.
    assert load_model(tmp_path / "run" / "prior.keras").get_layer("means").kernel.shape == (made, 2)
    assert record.metrics["trained_prior_test_kl_nats"] != record.metrics["test_kl_nats"]
    found = evaluate(tmp_path / "run", source=str(small_npz), importance_samples=2, image_count=4)
    assert np.isfinite(found.log_likelihood.negative_log_likelihood_nats)
    again = evaluate(tmp_path / "run", source=str(small_npz), importance_samples=1)
    assert again.elbo.kl_nats == pytest.approx(record.metrics["test_kl_nats"], rel=1e-4)
    assert open_run(tmp_path / "run").record.vae.eps_dim == 3


@pytest.mark.slow
def test_the_refitted_prior_is_likelier_for_the_posteriors_than_one_gaussian(tmp_path, small_npz, small_config):
    kls = [
        train(
            source=str(small_npz),
            out=tmp_path / str(count),
            config=small_config(refit_components=count, epochs=6, learning_rate=0.02),
            preset="x",
        ).metrics
        for count in (1, 20)
    ]
    assert kls[1]["test_kl_nats"] < kls[0]["test_kl_nats"] < kls[0]["trained_prior_test_kl_nats"] + 0.5


@pytest.mark.slow
def test_the_same_seed_refits_the_same_prior(tmp_path, small_npz, small_config, assert_same_run):
    for name in ("one", "two"):
        config = small_config(refit_components=9, binarization="dynamic")
        train(source=str(small_npz), out=tmp_path / name, config=config, preset="x")
    assert_same_run(tmp_path / "one", tmp_path / "two")
