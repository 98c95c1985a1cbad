from types import SimpleNamespace

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import (
    Choice,
    Sampling,
    SourceImages,
    image_features,
)
from pocketvae.models.components import Posterior
from pocketvae.numerics.noise import normal_noise
from pocketvae.outputs import Meaning, Output
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent


def source(images):
    return SourceImages(images=images, names=tuple(map(str, range(len(images)))), labels=None)


@pytest.fixture(scope="module")
def bundle(tables_path):
    with pocketvae.open(tables_path) as opened:
        yield opened


def test_features_are_these_formulas(bundle, grey_images):
    images = grey_images[:70]
    features = image_features(bundle, source(images), Choice(), Sampling(samples=2, seed=7))
    posterior = bundle.encoder().encode(images)
    target = images / 255
    sigma = np.exp(posterior.z_log_var / 2)
    entropy = 0
    for eps in normal_noise(7, [0, 1], 3):
        p = bundle.decoder().decode(posterior.z_mean + sigma * eps).astype(float)
        entropy = entropy - (target * np.log(p) + (1 - target) * np.log(1 - p)).sum(axis=(1, 2, 3)) / 2
    np.testing.assert_allclose(features.cross_entropy_nats, entropy, rtol=1e-5)
    kl = 0.5 * (sigma**2 + posterior.z_mean**2 - 1 - posterior.z_log_var).sum(axis=1)
    np.testing.assert_allclose(features.kl_nats, kl, rtol=1e-4)
    decoded = bundle.decoder().decode(posterior.z_mean)
    np.testing.assert_allclose(features.square_error, np.square(decoded - target).sum(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(features.mean_norm, np.linalg.norm(posterior.z_mean, axis=1), rtol=1e-5)
    np.testing.assert_allclose(features.mean_variance, (sigma**2).mean(axis=1), rtol=1e-5)


def noisy_bundle(has_posterior):
    """A model of two values that decodes 0 with a noise of exp(z), whose posterior is N(1, 1)."""
    log_std = Output(name="log_std", data=DataKind.VECTOR, shape=(2,), meaning=Meaning.LOG_STD)
    vae = VaeSpec(
        data=DataKind.VECTOR,
        data_shape=(2,),
        latents=vector_latent(1),
        likelihood=Likelihood.UNKNOWN,
        data_range=(-1.0, 1.0),
        more_outputs=(log_std,),
    )

    def encode(items, _):
        ones = np.ones((len(items), 1), np.float32)
        return Posterior(z_mean=ones, z_log_var=0 * ones if has_posterior else None)

    def decode_all(z, _):
        return {"vector": np.zeros((len(z), 2), np.float32), "log_std": np.repeat(z, 2, axis=1)}

    encoder, decoder = SimpleNamespace(encode=encode), SimpleNamespace(decode_all=decode_all, vae=vae)
    return SimpleNamespace(vae=vae, scoring=None, encoder=lambda *_, **__: encoder, decoder=lambda *_, **__: decoder)


@pytest.mark.parametrize("has_posterior", [True, False])
def test_a_decoder_s_own_noise_is_that_of_the_likelihood(has_posterior):
    bundle, x = noisy_bundle(has_posterior), np.array([[0.5, -1.0], [0.0, 0.25]], np.float32)
    features = image_features(bundle, source(x), Choice(), Sampling(samples=3, seed=7))
    draws = 1 + normal_noise(7, [0, 1, 2], 1)[:, 0] if has_posterior else np.ones(1)
    nats = [np.square(x / np.exp(z)).sum(axis=1) / 2 + 2 * z + np.log(2 * np.pi) for z in draws.astype(float)]
    np.testing.assert_allclose(features.own_noise_nats, np.mean(nats, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(features.reconstruction_nats(bundle.vae, 0.1), features.own_noise_nats)
