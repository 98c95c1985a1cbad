import subprocess
import sys

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.numerics import gaussian
from pocketvae.vae_spec import PriorKind, VaeSpec, vector_latent

pytestmark = pytest.mark.slow
DIM = 6


def build(small_config, couplings):
    """A flow whose layers are all random: as built, they begin at zero and do nothing."""
    from pocketvae.train.priors import build_prior

    config = small_config(prior="realnvp", latent_dim=DIM, couplings=couplings, coupling_units=16)
    model = build_prior(config, DIM)
    rng = np.random.default_rng(couplings)
    model.set_weights([rng.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model, VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(DIM), prior=PriorKind.REALNVP)


def standard_normal_log_density(z):
    return gaussian.log_normal(z, np.zeros_like(z), np.zeros_like(z))


def numerical_jacobian(model, eps, step=1e-3):
    """d z / d eps at one point, by central differences; the points are such that no ReLU switches within a step."""
    moved = np.concatenate([eps + step * np.eye(DIM), eps - step * np.eye(DIM)]).astype(np.float32)
    z = np.asarray(model(moved), np.float64)
    return ((z[:DIM] - z[DIM:]) / (2 * step)).T


@pytest.mark.parametrize("couplings", [1, 2, 3, 4, 5])
def test_a_flow_s_density_is_that_of_its_samples_by_change_of_variables(small_config, couplings):
    from pocketvae.train.priors import log_density

    model, vae = build(small_config, couplings)
    eps = np.random.default_rng(1).standard_normal((5, DIM)).astype(np.float32)
    z = np.asarray(model(eps))
    determinants = [np.linalg.slogdet(numerical_jacobian(model, point[None]))[1] for point in eps]
    expected = standard_normal_log_density(eps.astype(np.float64)) - determinants
    # The couplings do change volumes, or the test would hold for a density that forgets the determinant.
    assert max(np.abs(determinants)) > 0.1
    np.testing.assert_allclose(log_density(model, vae, z), expected, atol=5e-3)


def test_four_couplings_change_every_dimension_by_every_other(small_config):
    model, _ = build(small_config, 4)
    jacobian = numerical_jacobian(model, np.full((1, DIM), 0.3, np.float32))
    assert (np.abs(jacobian) > 1e-4).all()


@pytest.mark.parametrize(("index", "kept"), [(0, [0, 1, 2]), (1, [3, 4, 5]), (2, [0, 2, 4]), (3, [1, 3, 5])])
def test_couplings_take_turns_in_what_they_keep(small_config, index, kept):
    model, _ = build(small_config, 4)
    for layer in model.layers:
        if layer.get_weights() and not layer.name.startswith(f"coupling_{index}_"):
            layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    eps = np.random.default_rng(0).standard_normal((4, DIM)).astype(np.float32)
    same = np.isclose(model(eps), eps, atol=1e-6).all(axis=0)
    assert np.flatnonzero(same).tolist() == kept


def test_a_flow_begins_as_the_standard_normal(small_config):
    from pocketvae.train.priors import build_prior, log_density

    model = build_prior(small_config(prior="realnvp", latent_dim=DIM, couplings=3, coupling_units=4), DIM)
    eps = np.random.default_rng(0).standard_normal((7, DIM)).astype(np.float32)
    np.testing.assert_allclose(model(eps), eps, atol=1e-6)
    vae = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(DIM), prior=PriorKind.REALNVP)
    np.testing.assert_allclose(log_density(model, vae, eps), standard_normal_log_density(eps), rtol=1e-5)


def run_backwards(model, z, couplings):
    """The inverse of the flow in numpy, from its weights and the definition of a coupling."""
    z = z.astype(np.float64)
    for index in reversed(range(couplings)):
        weights = {
            name: [
                np.asarray(weight, np.float64) for weight in model.get_layer(f"coupling_{index}_{name}").get_weights()
            ]
            for name in ("hidden_0", "hidden_1", "shift", "log_scale")
        }
        columns = np.arange(DIM)
        first = columns % 2 == 0 if index % 4 >= 2 else columns < DIM // 2
        kept = first if index % 2 == 0 else ~first
        x = z[:, kept]
        for name in ("hidden_0", "hidden_1"):
            kernel, bias = weights[name]
            x = np.maximum(x @ kernel + bias, 0)
        shift = x @ weights["shift"][0] + weights["shift"][1]
        log_scale = np.tanh(x @ weights["log_scale"][0] + weights["log_scale"][1])
        z = z.copy()
        z[:, ~kept] = (z[:, ~kept] - shift) * np.exp(-log_scale)
    return z


@pytest.mark.parametrize("couplings", [1, 4, 6])
def test_running_a_flow_backwards_gives_its_noise(small_config, couplings):
    model, _ = build(small_config, couplings)
    eps = np.random.default_rng(0).standard_normal((20, DIM)).astype(np.float32)
    np.testing.assert_allclose(run_backwards(model, np.asarray(model(eps)), couplings), eps, atol=1e-4)


def test_densities_keep_the_shape_of_what_they_are_of(small_config):
    from pocketvae.train.priors import log_density

    model, vae = build(small_config, 2)
    z = np.random.default_rng(0).standard_normal((3, 4, DIM)).astype(np.float32)
    np.testing.assert_allclose(log_density(model, vae, z)[1], log_density(model, vae, z[1]), rtol=1e-5)
    standard = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(DIM))
    np.testing.assert_allclose(log_density(None, standard, z), standard_normal_log_density(z), rtol=1e-5)


MEANS = np.random.default_rng(3).normal(0, 2, (5, DIM)).astype(np.float32)
LOG_SCALES = np.random.default_rng(4).normal(-1, 0.5, (5, DIM)).astype(np.float32)
MIXTURE = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(DIM), prior=PriorKind.MIXTURE)


def mixture_log_density(z, means=MEANS, log_scales=LOG_SCALES):
    means, log_scales = means.astype(np.float64), log_scales.astype(np.float64)
    components = [gaussian.log_normal(z, mean, 2 * scale) for mean, scale in zip(means, log_scales, strict=True)]
    return np.log(np.mean(np.exp(components), axis=0))


def test_a_mixture_s_density_is_the_mean_of_its_components():
    from pocketvae.train.priors import build_mixture, log_density

    z = np.random.default_rng(0).normal(0, 2, (50, DIM)).astype(np.float32)
    density = log_density(build_mixture(MEANS, LOG_SCALES), MIXTURE, z)
    np.testing.assert_allclose(density, mixture_log_density(z), rtol=1e-4)


def test_a_mixture_of_many_components_is_computed_in_blocks(monkeypatch):
    from pocketvae.train import priors

    rng, sizes, log_normal = np.random.default_rng(1), [], priors.log_normal
    means, log_scales = (rng.normal(0, 1, (150, DIM)).astype(np.float32) for _ in range(2))
    monkeypatch.setattr(priors, "log_normal", lambda eps, scale: sizes.append(eps.shape[1]) or log_normal(eps, scale))
    z = rng.normal(0, 2, (50, DIM)).astype(np.float32)
    density = priors.log_density(priors.build_mixture(means, log_scales), MIXTURE, z)
    np.testing.assert_allclose(density, mixture_log_density(z, means, log_scales), rtol=1e-4)
    assert sizes == [64, 64, 22]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_last_noise_value_picks_each_component_equally_often(count):
    from pocketvae.train.priors import build_mixture

    model = build_mixture(MEANS[:count], LOG_SCALES[:count])
    eps = np.random.default_rng(0).standard_normal((20_000, DIM + 1)).astype(np.float32)
    eps[:, :-1] = 0
    z = np.asarray(model(eps))
    distances = np.abs(z[:, None] - MEANS[None, :count]).max(axis=-1)
    assert distances.min(axis=1).max() < 1e-4
    # Four standard deviations of a count of 20,000 draws.
    np.testing.assert_allclose(np.bincount(distances.argmin(axis=1)), 20_000 / count, atol=4 * np.sqrt(20_000 / 4))
    # The value decides by its quantile: the components follow each other from left to right.
    assert (np.diff(distances.argmin(axis=1)[np.argsort(eps[:, -1])]) >= 0).all()


def test_a_component_s_noise_is_scaled_and_shifted():
    from pocketvae.train.priors import build_mixture

    rng = np.random.default_rng(0)
    eps = np.concatenate([rng.standard_normal((50, DIM)), np.full((50, 1), 9.0)], axis=1).astype(np.float32)
    expected = MEANS[-1] + np.exp(LOG_SCALES[-1]) * eps[:, :-1]
    np.testing.assert_allclose(build_mixture(MEANS, LOG_SCALES)(eps), expected, rtol=1e-4, atol=1e-5)


def test_samples_of_a_mixture_have_its_density():
    # The mean log-density of a distribution's own samples is its negative entropy; a wrong density is lower.
    from pocketvae.train.priors import build_mixture

    eps = np.random.default_rng(0).standard_normal((4000, DIM + 1)).astype(np.float32)
    z = np.asarray(build_mixture(MEANS, LOG_SCALES)(eps))
    right = mixture_log_density(z).mean()
    for wrong in (mixture_log_density(z, MEANS + 0.5), mixture_log_density(z, MEANS, LOG_SCALES + 0.5)):
        assert wrong.mean() < right - 0.1
    # Components this far apart hardly overlap: the entropy is nearly log 5 plus the mean component's.
    entropy = np.log(5) + np.mean(LOG_SCALES.sum(axis=1)) + DIM / 2 * np.log(2 * np.pi * np.e)
    assert -right == pytest.approx(entropy, abs=0.1)


@pytest.mark.parametrize("kind", ["mixture", "vamp", "realnvp"])
def test_a_saved_prior_holds_standard_layers_and_keeps_its_density(small_config, tmp_path, kind):
    from pocketvae.keras.io import load_model, save_model
    from pocketvae.train.priors import build_mixture, log_density

    model, vae = build(small_config, 5)
    if kind != "realnvp":
        model = build_mixture(MEANS, LOG_SCALES)
        vae = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(DIM), prior=PriorKind(kind))
    save_model(model, tmp_path / "prior.keras")
    eps = np.random.default_rng(0).standard_normal((9, vae.eps_dim)).astype(np.float32)
    z = np.asarray(model(eps))
    loaded = load_model(tmp_path / "prior.keras")
    np.testing.assert_array_equal(log_density(model, vae, z), log_density(loaded, vae, z))
    assert all(type(layer).__module__.startswith("tf_keras.src.") for layer in loaded.layers)
    assert not any("lambda" in type(layer).__name__.lower() for layer in loaded.layers)
    if kind == "realnvp":
        # The file needs no pocketvae: tf_keras alone loads it and draws the same latents.
        np.save(tmp_path / "eps.npy", eps)
        code = (
            "import numpy as np, sys, tf_keras; model = tf_keras.models.load_model('prior.keras', compile=False);"
            "np.save('z.npy', model(np.load('eps.npy'))); assert 'pocketvae' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
        np.testing.assert_allclose(np.load(tmp_path / "z.npy"), z, atol=1e-6)


def test_a_foreign_prior_is_refused_with_the_layer_it_lacks(small_config):
    from pocketvae.train.priors import log_density

    flow, _ = build(small_config, 1)
    with pytest.raises(ExportError, match="the prior must have a layer 'means'"):
        log_density(flow, MIXTURE, np.zeros((1, DIM), np.float32))


def vamp_parts(make_parts):
    return make_parts(prior="vamp", components=6, latent_dim=3)


def test_vampprior_components_are_the_posteriors_of_its_pseudo_inputs(make_parts):
    parts = vamp_parts(make_parts)
    model = parts.model
    pictures = 1 / (1 + np.exp(-model.pseudo_inputs.numpy().astype(np.float64)))
    z_mean, z_log_var = (np.asarray(value, np.float64) for value in model.encoder(pictures.astype(np.float32)))
    z = np.random.default_rng(0).normal(0, 1.5, (40, 3)).astype(np.float32)
    expected = mixture_log_density(z, z_mean, z_log_var / 2)
    np.testing.assert_allclose(model.log_prior(z), expected, rtol=1e-4, atol=1e-4)
    assert model.pseudo_inputs.shape == (6, 8, 8, 1)


def test_pseudo_inputs_begin_as_training_images(make_parts, small_data):
    pictures = 1 / (1 + np.exp(-vamp_parts(make_parts).model.pseudo_inputs.numpy()))
    images = np.clip(small_data.train.images / 255, 0.02, 0.98)
    distances = np.abs(pictures[:, None] - images[None]).max(axis=(2, 3, 4))
    assert distances.min(axis=1).max() < 1e-5
    assert len(set(distances.argmin(axis=1))) == 6


def test_training_moves_the_pseudo_inputs_and_the_frozen_mixture_samples_from_them(make_parts, small_data):
    from pocketvae.train.priors import log_density

    parts = vamp_parts(make_parts)
    model = parts.model
    before = model.pseudo_inputs.numpy()
    for number in range(3):
        parts.step(small_data, number, count=8, learning_rate=0.1)
    assert np.abs(model.pseudo_inputs.numpy() - before).max() > 0.01
    model.freeze_components()
    z = np.random.default_rng(0).normal(0, 1.5, (40, 3)).astype(np.float32)
    np.testing.assert_allclose(log_density(model.prior, model.spec, z), model.log_prior(z), rtol=1e-4)
    # Noise of zero that picks the last component draws that component's mean.
    drawn = model.prior(np.array([[0, 0, 0, 9]], np.float32))
    z_mean, _ = model.encode(1 / (1 + np.exp(-model.pseudo_inputs.numpy())), None)
    np.testing.assert_allclose(drawn[0], z_mean[-1], rtol=1e-4, atol=1e-5)
