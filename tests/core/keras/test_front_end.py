"""The front end in TensorFlow makes what numpy makes."""

import numpy as np
import pytest

from pocketvae.keras.front_end import encoded_items
from pocketvae.numerics.spectrogram import model_items
from tests.sounds import hum, sound_vae

pytestmark = pytest.mark.slow


def test_tensorflow_and_numpy_agree():
    vae = sound_vae()
    samples = np.stack([hum(1, seed)[: vae.log_mel.samples, None] for seed in range(4)])
    found = np.asarray(encoded_items(samples, vae))
    np.testing.assert_allclose(found, model_items(samples, vae), atol=1e-4)
    assert encoded_items(samples, vae.behind_front_end) is samples


def test_a_sample_that_is_no_number_makes_no_number():
    vae = sound_vae()
    samples = hum(1)[None, : vae.log_mel.samples, None].copy()
    samples[0, 100] = np.nan
    frames = np.isnan(np.asarray(encoded_items(samples, vae))).all(axis=(0, 2))
    assert frames.tolist() == [False, False, True, True, False, False, False]
