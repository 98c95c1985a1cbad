import numpy as np
import pytest

from pocketvae.fields import Channel, ChannelKind
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

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


def test_means_of_signals_are_not_clipped():
    from pocketvae.keras.heads import data_head

    vae = VaeSpec(
        data=DataKind.SEQUENCE,
        data_shape=(5, 3),
        latents=vector_latent(1),
        likelihood=Likelihood.GAUSSIAN,
        range_is_strict=False,
    )
    np.testing.assert_array_equal(np.asarray(data_head(vae, OUTPUTS[0])), OUTPUTS[0])
    image = VaeSpec(data_shape=(4, 5, 3), latents=vector_latent(1), likelihood=Likelihood.GAUSSIAN)
    np.testing.assert_array_equal(np.asarray(data_head(image, OUTPUTS)), np.clip(OUTPUTS, 0, 1))


def test_every_column_has_the_head_of_its_kind():
    from pocketvae.keras.heads import data_head, runs

    channels = (
        Channel(),
        Channel(name="a", kind=ChannelKind.BINARY),
        Channel(name="b", kind=ChannelKind.BINARY),
        Channel(name="c", kind=ChannelKind.CATEGORY, categories=("x", "y")),
        Channel(name="d", kind=ChannelKind.CATEGORY, categories=("x", "y", "z")),
        Channel(),
    )
    assert [(kind, part.start, part.stop) for kind, part in runs(channels)] == [
        (ChannelKind.REAL, 0, 1),
        (ChannelKind.BINARY, 1, 3),
        (ChannelKind.CATEGORY, 3, 5),
        (ChannelKind.CATEGORY, 5, 8),
        (ChannelKind.REAL, 8, 9),
    ]
    vae = VaeSpec(
        data=DataKind.VECTOR,
        data_shape=(9,),
        latents=vector_latent(1),
        likelihood=Likelihood.MIXED,
        channels=channels,
        range_is_strict=False,
    )
    raw = np.random.default_rng(1).normal(size=(4, 9)).astype(np.float32)
    shown = np.asarray(data_head(vae, raw))
    np.testing.assert_array_equal(shown[:, [0, 8]], raw[:, [0, 8]])
    np.testing.assert_allclose(shown[:, 1:3], 1 / (1 + np.exp(-raw[:, 1:3])), rtol=1e-5)
    for part in (slice(3, 5), slice(5, 8)):
        powers = np.exp(raw[:, part])
        np.testing.assert_allclose(shown[:, part], powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)
