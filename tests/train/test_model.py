from dataclasses import replace

import numpy as np
import pytest

from pocketvae.numerics import gaussian

pytestmark = pytest.mark.slow
FLOW = {"prior": "realnvp", "couplings": 2, "coupling_units": 4}


def noise(number=0, **changes):
    from pocketvae.train.model import Noise

    return replace(Noise(seed=np.array([7, number], np.int64)), **changes)


def as_numpy(terms):
    return {name: np.asarray(getattr(terms, name)) for name in ("log_likelihood", "log_prior", "log_posterior", "kl")}


@pytest.fixture(scope="module")
def images(small_data):
    return small_data.train.images[:6]


LABELS = np.arange(6, dtype=np.int32)


def test_binary_pixels_are_drawn_anew_for_every_number_and_alike_for_the_same(make_parts, images):
    model = make_parts().model
    first, again, other = (np.asarray(model.observe(images, noise(number))) for number in (0, 0, 1))
    assert set(np.unique(first)) == {0, 1}
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    mean = np.mean([model.observe(images, noise(number)) for number in range(400)], axis=0)
    np.testing.assert_allclose(mean, images / 255, atol=0.11)


@pytest.mark.parametrize("likelihood", ["gaussian", "discretized_logistic"])
def test_other_likelihoods_are_of_the_grey_values(make_parts, images, likelihood):
    observed = make_parts(likelihood=likelihood).model.observe(images, noise())
    np.testing.assert_allclose(observed, images / 255, rtol=1e-6)


@pytest.mark.parametrize("changes", [{}, {"likelihood": "gaussian", **FLOW}])
def test_the_noise_of_a_part_is_a_part_of_the_noise_of_the_whole(make_parts, images, changes):
    model = make_parts(**changes).model
    whole = as_numpy(model.terms(images, LABELS, noise(), samples=3))
    parts = [
        as_numpy(model.terms(images[first : first + 2], LABELS[:2], noise(first=first, whole=6), samples=3))
        for first in (0, 2, 4)
    ]
    for name, values in whole.items():
        axis = 0 if name == "kl" else 1
        np.testing.assert_allclose(np.concatenate([part[name] for part in parts], axis), values, rtol=1e-5, atol=1e-4)
    # The noise differs from image to image, or any cut would be right.
    assert np.ptp(whole["log_posterior"]) > 0.1


def test_the_terms_are_the_densities_of_the_latents_that_are_decoded(make_parts, images, monkeypatch):
    model = make_parts(likelihood="gaussian").model
    model.variance.assign(0.04)
    decoded = []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda z, *rest, **more: decoded.append(z) or decode(z, *rest, **more))
    terms = as_numpy(model.terms(images, LABELS, noise(), samples=4))
    z = np.asarray(decoded[0], np.float64).reshape(4, 6, 2)
    x = (images / 255).astype(np.float32)
    z_mean, z_log_var = (np.asarray(value, np.float64) for value in model.encode(x, LABELS))
    np.testing.assert_allclose(terms["log_posterior"], gaussian.log_normal(z, z_mean, z_log_var), rtol=1e-3)
    np.testing.assert_allclose(terms["log_prior"], gaussian.log_normal(z, 0 * z, 0 * z), rtol=1e-4)
    np.testing.assert_allclose(terms["kl"].sum(axis=1), gaussian.kl_to_standard_normal(z_mean, z_log_var), rtol=1e-4)
    means = np.asarray(decode(z.reshape(-1, 2).astype(np.float32), LABELS), np.float64).reshape(4, 6, 64)
    expected = gaussian.log_normal(x.reshape(6, 64), means, np.full(means.shape, np.log(0.04)))
    np.testing.assert_allclose(terms["log_likelihood"], expected, rtol=1e-4)


def test_the_likelihood_is_of_the_image_that_its_latent_belongs_to(make_parts, images):
    # With a posterior of no width every sample of an image is its mean, so the terms can be computed one by one.
    model = make_parts(likelihood="gaussian").model
    model.variance.assign(0.04)
    x = np.asarray(model.observe(images, noise()))
    z_mean = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    terms = model.terms_of(x, LABELS, z_mean, np.full((6, 2), -60, np.float32), noise(), 3)
    decoded = np.asarray(model.decode(z_mean, LABELS), np.float64)
    expected = gaussian.log_normal(x.reshape(6, -1), decoded.reshape(6, -1), np.full((6, 64), np.log(0.04)))
    np.testing.assert_allclose(terms.log_likelihood, np.tile(expected, (3, 1)), rtol=1e-4)


def test_labels_follow_their_latents_through_importance_samples(make_parts, images):
    model = make_parts(conditional=True).model
    z_mean = np.zeros((6, 2), np.float32)
    x = np.ones((6, 8, 8, 1), np.float32)
    terms = model.terms_of(x, LABELS, z_mean, np.full((6, 2), -60, np.float32), noise(), 3)
    logits = np.asarray(model.decode(z_mean, LABELS), np.float64)
    expected = -np.log1p(np.exp(-logits)).sum(axis=(1, 2, 3))
    assert len(set(expected.round(6))) == 6
    np.testing.assert_allclose(terms.log_likelihood, np.tile(expected, (3, 1)), rtol=1e-4)


def test_importance_weights_are_of_the_joint_over_the_posterior(make_parts, images):
    terms = make_parts().model.terms(images, LABELS, noise(), samples=2)
    values = as_numpy(terms)
    expected = values["log_likelihood"] + values["log_prior"] - values["log_posterior"]
    np.testing.assert_allclose(terms.log_weights(), expected, rtol=1e-6)


def test_the_mean_of_log_posterior_over_prior_is_the_analytic_divergence(make_parts, images):
    model = make_parts().model
    values = as_numpy(model.terms(images, LABELS, noise(), samples=4000))
    sampled = (values["log_posterior"] - values["log_prior"]).mean(axis=0)
    np.testing.assert_allclose(sampled, values["kl"].sum(axis=1), atol=0.05)
    assert model.is_kl_analytic()


def test_a_fitted_variance_is_used_in_place_of_the_model_s(make_parts, images):
    model = make_parts(likelihood="gaussian").model
    given = []
    terms = model.terms(images, LABELS, noise(), fit_variance=lambda optimal: given.append(float(optimal)) or 0.04)
    model.variance.assign(0.04)
    np.testing.assert_allclose(terms.log_likelihood, model.terms(images, LABELS, noise()).log_likelihood, rtol=1e-6)
    assert given[0] == pytest.approx(np.mean((images / 255) ** 2), rel=0.5)


def test_what_is_trained_depends_on_the_prior(make_parts):
    def names(**changes):
        model = make_parts(**changes).model
        own = {id(weight) for part in (model.encoder, model.decoder) for weight in part.trainable_variables}
        return [weight.name for weight in model.trainable_variables() if id(weight) not in own]

    assert names() == []
    assert len(names(**FLOW)) == 2 * 4 * 2
    assert {name.split("/")[0] for name in names(prior="mixture", components=3)} == {"means", "log_scales"}
    assert names(prior="vamp", components=3) == ["pseudo_inputs:0"]


def test_mean_images_are_in_the_unit_interval(make_parts):
    z = np.random.default_rng(0).normal(0, 30, (5, 2)).astype(np.float32)
    for likelihood in ("bernoulli", "gaussian", "discretized_logistic"):
        images = np.asarray(make_parts(likelihood=likelihood).model.means(z, np.zeros(5, np.int32)))
        assert images.shape == (5, 8, 8, 1)
        assert 0 <= images.min() <= images.max() <= 1
