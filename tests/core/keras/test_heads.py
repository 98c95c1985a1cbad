import numpy as np
import pytest

from pocketvae.vae_spec import Likelihood

pytestmark = pytest.mark.slow
OUTPUTS = np.random.default_rng(0).normal(0.5, 1, (3, 4, 5, 3)).astype(np.float32)


def head(likelihood, outputs=OUTPUTS):
    from pocketvae.keras.heads import image_head

    return np.asarray(image_head(likelihood, outputs))


def test_logits_become_probabilities():
    np.testing.assert_allclose(head(Likelihood.BERNOULLI), 1 / (1 + np.exp(-OUTPUTS)), rtol=1e-5)


def test_means_are_clipped_to_what_a_pixel_can_be():
    np.testing.assert_array_equal(head(Likelihood.GAUSSIAN), np.clip(OUTPUTS, 0, 1))


def test_a_discretized_logistic_shows_its_means_and_not_its_scales():
    shown = head(Likelihood.DISCRETIZED_LOGISTIC, [OUTPUTS, 9 + OUTPUTS])
    np.testing.assert_array_equal(shown, np.clip(OUTPUTS, 0, 1))
