import numpy as np
import pytest

import pocketvae
from pocketvae.apps import (
    Choice,
    Sampling,
    SourceImages,
    calibrate,
    image_features,
)
from pocketvae.apps.anomaly.scores import scores


def source(images):
    return SourceImages(images=images, names=tuple(map(str, range(len(images)))), labels=None)


@pytest.fixture(scope="module")
def bundle(tables_path):
    with pocketvae.open(tables_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def calibration(bundle, grey_images):
    return calibrate(
        bundle,
        source(grey_images[:150]),
        source(grey_images[150:250]),
        normal="blobs",
        choice=Choice(),
        sampling=Sampling(samples=3),
        false_positive_rate=0.1,
    )


def test_the_threshold_has_the_stated_false_positive_rate(bundle, grey_images, calibration):
    features = image_features(bundle, source(grey_images[150:250]), Choice(), calibration.sampling)
    values = scores(features, bundle.vae, calibration.noise_scale, calibration.density)
    for kind, threshold in calibration.thresholds.items():
        # Rank 91 of 100: of 101 alike images, the new one included, 10 lie above it.
        assert np.sum(values[kind] > threshold) == 9
