from dataclasses import replace

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.numerics.latents import (
    encoded_of,
    joined_latents,
    log_variances_of,
    means_of,
    posterior_of,
    prior_noise,
    split_latents,
)
from pocketvae.numerics.noise import normal_noise
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
