from dataclasses import replace

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.numerics.latents import (
    drawn_noise,
    encoded_of,
    joined_latents,
    log_variances_of,
    means_of,
    posterior_of,
    prior_noise,
    real_columns,
    split_latents,
)
from pocketvae.numerics.noise import normal_noise, uniform_codes
from pocketvae.vae_spec import Latent, PosteriorKind, PriorKind, VaeSpec

LATENTS = (Latent(name="z_top", shape=(3,)), Latent(name="z_bottom", shape=(2, 2, 1)))
LEVELS = VaeSpec(data_shape=(4, 4, 1), latents=LATENTS)


def test_latents_are_parts_of_one_row_in_their_own_shapes():
    z = np.arange(14, dtype=np.float32).reshape(2, 7)
    parts = split_latents(z, LATENTS)
    assert {name: part.shape for name, part in parts.items()} == {"z_top": (2, 3), "z_bottom": (2, 2, 2, 1)}
    assert parts["z_top"].tolist() == [[0, 1, 2], [7, 8, 9]]
    np.testing.assert_array_equal(joined_latents(dict(sorted(parts.items())), LEVELS), z)


def test_all_latents_share_one_stream_of_noise():
    np.testing.assert_array_equal(prior_noise(7, [0, 1], LEVELS), normal_noise(7, [0, 1], 7))


MIXED = VaeSpec(data_shape=(4, 4, 1), latents=(Latent(name="codes", shape=(2, 2), codes=5), Latent(shape=(3,))))


def test_codes_and_real_numbers_share_one_stream():
    noise = prior_noise(7, [0, 1, 2], MIXED)
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(noise[:, :4], uniform_codes(7, [0, 1, 2], 7, 5)[:, :4])
    np.testing.assert_array_equal(noise[:, 4:], normal_noise(7, [0, 1, 2], 7)[:, 4:])
    parts = split_latents(noise, MIXED.latents)
    assert [part.dtype for part in parts.values()] == [np.int32, np.float32]
    np.testing.assert_array_equal(joined_latents(parts, MIXED), noise)
    assert real_columns(MIXED).tolist() == [4, 5, 6]
    drawn = split_latents(drawn_noise(MIXED, 400, np.random.default_rng(0)), MIXED.latents)
    assert set(drawn["codes"].ravel().tolist()) == set(range(5))
    assert drawn["z"].std() == pytest.approx(1, abs=0.1)


def test_an_encoder_of_both_has_a_posterior_of_the_real_numbers():
    outputs = {"z_log_var": np.full((1, 3), -1.0), "codes": np.full((1, 2, 2), 3), "z_mean": np.full((1, 3), 0.5)}
    assert encoded_of(outputs, MIXED).tolist() == [[3, 3, 3, 3, 0.5, 0.5, 0.5]]
    assert means_of(outputs, MIXED).tolist() == [[0.5] * 3]
    assert log_variances_of(outputs, MIXED).tolist() == [[-np.inf] * 4 + [-1] * 3]
    assert log_variances_of({"codes": outputs["codes"], "z_mean": outputs["z_mean"]}, MIXED) is None


def test_the_outputs_of_an_encoder_are_joined_by_what_they_are():
    names = LEVELS.output_names("encoder")
    assert names == ("z_top_mean", "z_top_log_var", "z_bottom_mean", "z_bottom_log_var")
    shapes = ((2, 3), (2, 3), (2, 2, 2, 1), (2, 2, 2, 1))
    outputs = {name: np.full(shape, place) for place, (name, shape) in enumerate(zip(names, shapes, strict=True))}
    # Runtimes return outputs in an order of their own.
    outputs = dict(sorted(outputs.items()))
    assert means_of(outputs, LEVELS).tolist() == [[0, 0, 0, 2, 2, 2, 2]] * 2
    variances = log_variances_of(outputs, LEVELS)
    assert posterior_of(outputs, LEVELS)[1].tolist() == variances.tolist() == [[1, 1, 1, 3, 3, 3, 3]] * 2


def test_an_encoder_of_codes_returns_the_latent_itself():
    codes = VaeSpec(
        data_shape=(4, 4, 1),
        latents=(Latent(shape=(2, 2), codes=5),),
        prior=PriorKind.UNIFORM,
        posterior=PosteriorKind.NONE,
    )
    assert codes.output_names("encoder") == ("z",)
    outputs = {"z": np.arange(4).reshape(1, 2, 2)}
    assert encoded_of(outputs, codes).tolist() == [[0, 1, 2, 3]]
    with pytest.raises(SpecError, match="the encoder is deterministic"):
        posterior_of({"z_mean": outputs["z"]}, replace(LEVELS, latents=(Latent(shape=(4,)),)))
    with pytest.raises(SpecError, match="compress needs posteriors, but the latent of this VAE is integer codes"):
        codes.check_posterior("compress")
