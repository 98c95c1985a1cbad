from types import SimpleNamespace

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import (
    Choice,
    Sampling,
    SourceImages,
    auroc,
    image_features,
)
from pocketvae.errors import SpecError
from pocketvae.fields import Channel, ChannelKind
from pocketvae.models.components import Posterior
from pocketvae.numerics.likelihoods import log_likelihood
from pocketvae.numerics.noise import normal_noise
from pocketvae.outputs import Meaning, Output
from pocketvae.vae_spec import DataKind, Latent, Likelihood, VaeSpec, vector_latent


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

    def decode_all(z, _):
        return {"vector": np.zeros((len(z), 2), np.float32), "log_std": np.repeat(z, 2, axis=1)}

    return made_bundle(vae, decode_all, has_posterior)


def made_bundle(vae, decode_all, has_posterior=True):
    """A model of one latent, whose posterior is N(1, 1)."""

    def encode(items, _):
        ones = np.ones((len(items), 1), np.float32)
        return Posterior(z_mean=ones, z_log_var=0 * ones if has_posterior else None)

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


def test_codes_beside_real_latents_are_scored_by_what_is_decoded_of_them():
    latents = (Latent(name="c", shape=(1,), codes=3), Latent(name="z", shape=(1,)))
    vae = VaeSpec(data=DataKind.VECTOR, data_shape=(2,), latents=latents, likelihood=Likelihood.UNKNOWN)
    bundle = made_bundle(vae, lambda z, _: {"vector": np.full((len(z), 2), 0.5, np.float32)})
    log_var = np.array([[-np.inf, 0.0]] * 2, np.float32)
    posterior = Posterior(z_mean=np.ones((2, 2), np.float32), z_log_var=log_var)
    bundle.encoder().encode = lambda items, _: posterior
    x = np.array([[0.5, 0.5], [0.5, 1.0]], np.float32)
    features = image_features(bundle, source(x), Choice(), Sampling(samples=3, seed=7))
    np.testing.assert_allclose(features.square_error, [0, 0.25])
    assert features.kl_nats is None


QUIET, LOUD = Channel(name="quiet", noise_scale=0.05), Channel(name="loud", noise_scale=0.8)
COLOUR = Channel(name="colour", kind=ChannelKind.CATEGORY, categories=("red", "blue"))


def spec(likelihood, channels, steps=None, **changes):
    width = sum(channel.width for channel in channels)
    return VaeSpec(
        data=DataKind.VECTOR if steps is None else DataKind.SEQUENCE,
        data_shape=(width,) if steps is None else (steps, width),
        latents=vector_latent(1),
        likelihood=likelihood,
        channels=channels,
        data_range=(-4.0, 4.0),
        range_is_strict=False,
        **changes,
    )


@pytest.mark.parametrize("has_posterior", [True, False])
@pytest.mark.parametrize(
    "vae",
    [
        spec(Likelihood.GAUSSIAN, (QUIET, LOUD), steps=5),
        spec(Likelihood.STUDENT_T, (QUIET, LOUD), steps=5, degrees_of_freedom=3.0),
        spec(Likelihood.MIXED, (QUIET, LOUD, COLOUR)),
    ],
    ids=lambda vae: vae.likelihood,
)
def test_the_noise_of_each_channel_is_that_of_the_likelihood(vae, has_posterior):
    x = np.random.default_rng(0).uniform(size=(4, *vae.data_shape)).astype(np.float32)

    def decoded(z):
        return np.broadcast_to(1 / (1 + np.exp(-z)), (len(z), x[0].size)).reshape(-1, *vae.data_shape)

    bundle = made_bundle(vae, lambda z, _: {vae.output: decoded(z).astype(np.float32)}, has_posterior)
    features = image_features(bundle, source(x), Choice(), Sampling(samples=3, seed=7))
    draws = 1 + normal_noise(7, [0, 1, 2], 1)[:, 0] if has_posterior else np.ones(1)
    nats = [-log_likelihood(vae, x, decoded(np.full((4, 1), z))) for z in draws]
    np.testing.assert_allclose(features.reconstruction_nats(vae, None), np.mean(nats, axis=0), rtol=1e-5)
    pooled = features.pixel_nats(0.1) + features.pixels * np.log(8 / 255)
    np.testing.assert_allclose(features.reconstruction_nats(vae, 0.1), pooled)


def test_a_small_anomaly_in_a_quiet_channel_is_seen_beside_a_noisy_one():
    vae = spec(Likelihood.GAUSSIAN, (QUIET, LOUD), steps=64)
    x = (np.random.default_rng(0).normal(size=(200, 64, 2)) * (0.05, 0.8)).astype(np.float32)
    x[100:, 20:30, 0] += 0.3
    bundle = made_bundle(vae, lambda z, _: {"sequence": np.zeros((len(z), 64, 2), np.float32)})
    nats = image_features(bundle, source(x), Choice(), Sampling(samples=1)).reconstruction_nats(vae, None)
    assert auroc(nats[:100], nats[100:]) > 0.99


def test_a_noise_must_be_given_where_it_is_not_known():
    vae = spec(Likelihood.GAUSSIAN, (QUIET, Channel(name="unknown")))
    bundle = made_bundle(vae, lambda z, _: {"vector": np.zeros((len(z), 2), np.float32)})
    features = image_features(bundle, source(np.zeros((1, 2), np.float32)), Choice(), Sampling(samples=1))
    with pytest.raises(SpecError, match="noise_scale must be given"):
        features.reconstruction_nats(vae, None)
