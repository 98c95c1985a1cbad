import numpy as np
import pytest

import pocketvae
from pocketvae.apps import (
    Choice,
    Sampling,
    SourceImages,
    image_features,
)
from pocketvae.numerics.noise import normal_noise


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
