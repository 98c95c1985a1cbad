import numpy as np
import pytest

from pocketvae.export.original import samples
from pocketvae.spec import Component
from pocketvae.vae_spec import Latent, Likelihood, VaeSpec, vector_latent


def vae(likelihood, **given):
    return VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(2), likelihood=likelihood, **given)


def test_tails_have_one_coordinate_beyond_three_in_every_dimension():
    z = samples.tail_noise(64, 16, np.random.default_rng(0))
    outside = np.abs(z) > 3
    assert (outside.sum(axis=1) == 1).all()
    assert (outside.sum(axis=0) == 4).all()
    assert np.abs(z).max() <= 4


def test_strata_cover_all_samples_in_order():
    stacked = samples.stack("z", {"a": np.zeros((3, 2)), "none": np.zeros((0, 2)), "b": np.ones((5, 2))})
    assert [(s.name, s.start, s.count) for s in stacked.strata] == [("a", 0, 3), ("b", 3, 5)]
    np.testing.assert_array_equal(stacked.inputs["z"][3:], 1)
    assert stacked.inputs["z"].dtype == np.float32


def test_encoder_inputs_of_a_bernoulli_model_are_half_grey_and_half_binary():
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 1), np.uint8)
    x = samples.encoder_inputs(images, vae(Likelihood.BERNOULLI), np.random.default_rng(1)).inputs["x"]
    np.testing.assert_array_equal(x[:5], images[0::2].astype(np.float32) / 255)
    assert set(np.unique(x[5:])) == {0, 1}


@pytest.mark.parametrize("likelihood", [Likelihood.GAUSSIAN, Likelihood.DISCRETIZED_LOGISTIC])
def test_encoder_inputs_of_other_models_are_grey(likelihood):
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 1), np.uint8)
    x = samples.encoder_inputs(images, vae(likelihood), np.random.default_rng(1)).inputs["x"]
    np.testing.assert_array_equal(x, images.astype(np.float32) / 255)


def test_encoder_inputs_are_of_the_image_s_range_and_shape():
    images = np.array([0, 255], np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    tanh = vae(Likelihood.UNKNOWN, data_range=(-1.0, 1.0), flat=(Component.ENCODER,))
    x = samples.encoder_inputs(images, tanh, np.random.default_rng(1)).inputs["x"]
    np.testing.assert_array_equal(x, [[-1.0] * 16, [1.0] * 16])
    loose = vae(Likelihood.UNKNOWN, data_range=(-7.0, 9.0), range_is_strict=False)
    x = samples.encoder_inputs(images, loose, np.random.default_rng(1)).inputs["x"]
    # As apps give them to the encoder, whether anything bounds what the decoder returns or not.
    np.testing.assert_array_equal(np.unique(x), [-7, 9])


def test_without_images_the_prior_stands_in_for_posteriors():
    purpose = samples.without_images(samples.GOLDEN)
    assert (purpose.posterior_count, purpose.prior_count, purpose.tail_count) == (0, 256, 64)


@pytest.mark.parametrize("likelihood", [item for item in Likelihood if item not in ("student_t", "mixed")])
def test_labels_stay_with_their_images(likelihood):
    # An all-black or all-white image is its own binarization, so its label can be read from it.
    labels = np.random.default_rng(2).integers(0, 2, 11).astype(np.int32)
    images = (255 * labels).astype(np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    inputs = samples.encoder_inputs(images, vae(likelihood), np.random.default_rng(1))
    labelled = samples.with_conditions(inputs, {"label": samples.encoder_labels(labels, vae(likelihood))})
    np.testing.assert_array_equal(labelled.inputs["label"], labelled.inputs["x"][:, 0, 0, 0])
    assert labelled.inputs["label"].dtype == np.int32


def test_the_seed_decides_the_samples():
    one, same, other = (samples.normal_noise(4, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(("side", "golden", "calibration"), [(64, 192, 384), (256, 25, 25), (512, 8, 16)])
def test_large_images_have_fewer_goldens_that_still_hold_tails(side, golden, calibration):
    spec = VaeSpec(data_shape=(side, side, 3), latents=vector_latent(2))
    for purpose, count in ((samples.GOLDEN, golden), (samples.CALIBRATION, calibration)):
        fitted = samples.fitting(purpose, spec, 1_000_000)
        assert fitted.drawn_count == count
        assert fitted.tail_count >= count // 4


def test_a_model_whose_call_takes_seconds_has_the_fewest_goldens():
    spec = VaeSpec(data_shape=(512, 512, 3), latents=vector_latent(2))
    fitted = samples.fitting(samples.GOLDEN, spec, 50_000_000)
    assert (fitted.prior_count, fitted.tail_count) == (2, 1)


def test_tails_of_codes_cover_all_codes_and_those_of_real_numbers_lie_far_out():
    latents = (Latent(name="codes", shape=(2,), codes=4), Latent(name="w", shape=(3,)))
    spec = VaeSpec(data_shape=(4, 4, 1), latents=latents)
    tails = samples.tails(8, spec, np.random.default_rng(0))
    assert tails[:, 0].tolist() == tails[:, 1].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (np.abs(tails[:, 2:]).max(axis=1) >= 3).all()
