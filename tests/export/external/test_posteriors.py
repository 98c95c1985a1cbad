from dataclasses import replace

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.export.external.posteriors import code_roles, encoded_roles, posterior_roles
from pocketvae.keras.loading import Tensor
from pocketvae.keras.model_form import Role
from pocketvae.vae_spec import Latent

MEAN, LOG_VAR, SAMPLE, OTHER = Role.MEAN, Role.LOG_VAR, Role.SAMPLE, Role.OTHER
LEVELS = (Latent(name="z_top", shape=(8,)), Latent(name="z_bottom", shape=(14, 14, 4)))
ALIKE = (Latent(name="z1", shape=(8,)), Latent(name="z2", shape=(8,)))


def outputs(**shapes):
    return [Tensor(name=name, dtype="float32", shape=(None, *shape)) for name, shape in shapes.items()]


def found(tensors, latents, stated=None, random=()):
    result = posterior_roles(tensors, set(random), stated, ["BiasAdd"] * len(tensors), latents)
    return list(zip(result.roles, result.places, strict=True))


def test_an_output_belongs_to_the_latent_of_its_shape():
    tensors = outputs(mean=(8,), mean_1=(14, 14, 4), logvar_1=(14, 14, 4), logvar=(8,), features=(5,))
    assert found(tensors, LEVELS) == [(MEAN, 0), (MEAN, 1), (LOG_VAR, 1), (LOG_VAR, 0), (OTHER, 0)]


def test_of_latents_of_one_shape_names_decide_and_then_the_order():
    named = outputs(z2_mean=(8,), z2_log_var=(8,), z1_mean=(8,), z1_log_var=(8,))
    assert found(named, ALIKE) == [(MEAN, 1), (LOG_VAR, 1), (MEAN, 0), (LOG_VAR, 0)]
    pairs = outputs(mu_a=(8,), logvar_a=(8,), mu_b=(8,), logvar_b=(8,))
    groups = outputs(mu_a=(8,), mu_b=(8,), logvar_a=(8,), logvar_b=(8,))
    assert found([pairs[0], pairs[1], pairs[2], pairs[3]], ALIKE, (MEAN, LOG_VAR) * 2) == [
        (MEAN, 0),
        (LOG_VAR, 0),
        (MEAN, 1),
        (LOG_VAR, 1),
    ]
    assert found(groups, ALIKE, (MEAN, MEAN, LOG_VAR, LOG_VAR)) == [
        (MEAN, 0),
        (MEAN, 1),
        (LOG_VAR, 0),
        (LOG_VAR, 1),
    ]


def test_samples_of_each_latent_are_left_out():
    tensors = outputs(mean=(8,), logvar=(8,), a=(8,), mean_1=(8,), logvar_1=(8,), b=(8,))
    assert [role for role, _ in found(tensors, ALIKE, random=(2, 5))] == [MEAN, LOG_VAR, SAMPLE] * 2


def test_every_latent_needs_a_posterior_or_none():
    with pytest.raises(ExportError, match=r"for each latent, z_top \[N, 8\], .* but not so for z_bottom: it returns"):
        found(outputs(mean=(8,), logvar=(8,)), LEVELS)
    with pytest.raises(ExportError, match="a log-variance for every latent or for none, but there is none for z_bott"):
        found(outputs(mean=(8,), logvar=(8,), mean_1=(14, 14, 4)), LEVELS)
    with pytest.raises(ExportError, match="--encoder-outputs must name 2 outputs, got 1"):
        found(outputs(mean=(8,), logvar=(8,)), LEVELS, (MEAN,))
    assert found(outputs(mean=(8,), mean_1=(14, 14, 4)), LEVELS) == [(MEAN, 0), (MEAN, 1)]


@pytest.mark.parametrize(
    ("given", "latents", "advice"),
    [
        ({"a": (8,), "b": (8,), "c": (14, 14, 4), "d": (14, 14, 4)}, LEVELS, "such as mean,log_var,mean,log_var"),
        ({"a": (8,), "f": (5,), "b": (8,), "c": (8,), "d": (8,)}, ALIKE, "such as mean,other,log_var,mean,log_var"),
        ({"mean": (8,), "b": (8,), "c": (14, 14, 4), "log_var": (14, 14, 4)}, LEVELS, "such as mean,log_var,mean,log"),
        ({"mean": (8,), "log_var": (8,)}, LEVELS, "it lacks z_bottom: add an output for its mean and one for its log"),
        ({"mean": (8,), "log_var": (8,)}, ALIKE, "it lacks z2: .*, or export the decoder alone, without --encoder$"),
    ],
)
def test_names_that_say_nothing_are_paired_by_shape_and_a_lack_is_named(given, latents, advice):
    with pytest.raises(ExportError, match=advice):
        found(outputs(**given), latents)


def test_the_means_alone_are_what_can_be_typed():
    with pytest.raises(ExportError, match="or export the means alone with --encoder-outputs mean,other,mean$"):
        found(outputs(mean=(8,), logvar=(8,), mean_1=(14, 14, 4)), LEVELS)


def test_an_encoder_of_codes_returns_integers_that_the_decoder_takes():
    latent = Latent(shape=(2, 2), codes=5)
    tensors = outputs(codes=(2, 2), vectors=(2, 2, 8))
    values = [np.full((3, 2, 2), 4), np.zeros((3, 2, 2, 8), np.float32)]
    assert code_roles(tensors, values, set(), (latent,)).roles == (Role.CODES, OTHER)
    with pytest.raises(ExportError, match="codes must be from 0 to 4, got 5 to 5"):
        code_roles(tensors, [values[0] + 1, values[1]], set(), (latent,))
    for given, random in ((values[1:], set()), (values, {0})):
        with pytest.raises(ExportError, match=r"must return integer codes \[N, 2, 2\], the same in every run"):
            code_roles(tensors[-len(given) :], given, random, (latent,))


def test_each_grid_of_codes_has_an_output_of_its_own():
    grids = (Latent(name="top", shape=(2, 2), codes=5), Latent(name="bottom", shape=(2, 2), codes=3))
    tensors = outputs(bottom_codes=(2, 2), top_codes=(2, 2), vectors=(2, 2, 8))
    values = [np.full((3, 2, 2), 2), np.full((3, 2, 2), 4), np.zeros((3, 2, 2, 8), np.float32)]
    result = code_roles(tensors, values, set(), grids)
    assert (result.roles, result.places[:2]) == ((Role.CODES, Role.CODES, OTHER), (1, 0))
    with pytest.raises(ExportError, match="codes must be from 0 to 2, got 4 to 4"):
        code_roles(outputs(a=(2, 2), b=(2, 2)), values[1::-1], set(), grids[::-1])


def test_codes_and_real_numbers_have_outputs_of_their_own():
    latents = (Latent(name="codes", shape=(2, 2), codes=5), Latent(name="style", shape=(3,)))
    tensors = outputs(mean=(3,), found=(2, 2), log_var=(3,))
    values = [np.zeros((4, 3), np.float32), np.full((4, 2, 2), 4), np.zeros((4, 3), np.float32)]

    def roles(tensors, stated=None):
        return encoded_roles(tensors, values, set(), stated, [""] * 3, latents)

    result = roles(tensors)
    assert (result.roles, result.places) == ((MEAN, Role.CODES, LOG_VAR), (1, 0, 1))
    unnamed = outputs(a=(3,), b=(2, 2), c=(3,))
    with pytest.raises(ExportError, match="for example mean,log_var"):
        roles(unnamed)
    for stated in ((LOG_VAR, MEAN), (LOG_VAR, OTHER, MEAN)):
        assert roles(unnamed, stated).roles == (LOG_VAR, Role.CODES, MEAN)
    with pytest.raises(ExportError, match="codes must be from 0 to 2, got 4 to 4"):
        encoded_roles(tensors, values, set(), None, [""] * 3, (replace(latents[0], codes=3), latents[1]))
