import numpy as np
import pytest
import tensorflow as tf

from pocketvae.errors import ExportError
from pocketvae.export import Role
from pocketvae.export.external.encoder_roles import encoder_roles, shapes_of
from pocketvae.keras.external import converted
from pocketvae.keras.loading import Tensor
from pocketvae.keras.model_form import Port

MEAN, LOG_VAR, STD, SAMPLE = Role.MEAN, Role.LOG_VAR, Role.STD, Role.SAMPLE


def tensors(*names):
    return [Tensor(name=name, dtype="float32", shape=(None, 2)) for name in names]


def roles(*names, random=(), named=None, last="BiasAdd", latent_dim=2):
    return encoder_roles(tensors(*names), set(random), named, [last] * len(names), (latent_dim,))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("z_mean", "z_log_var"), (MEAN, LOG_VAR)),
        (("z_log_var", "z_mean"), (LOG_VAR, MEAN)),
        (("mu", "logvar"), (MEAN, LOG_VAR)),
        (("z_mu", "z_logvar_1"), (MEAN, LOG_VAR)),
        (("encoder_mu", "encoder_log_variance"), (MEAN, LOG_VAR)),
        (("dense/latent_mean_2", "dense/log_sigma_sq"), (MEAN, LOG_VAR)),
        (("loc", "LogVar"), (MEAN, LOG_VAR)),
        (("z_mean", "z_log_var", "sampling"), (MEAN, LOG_VAR, SAMPLE)),
        (("z", "z_mean", "z_log_var"), (SAMPLE, MEAN, LOG_VAR)),
    ],
)
def test_outputs_are_told_apart_by_name(names, expected):
    assert roles(*names) == expected


def test_an_output_that_differs_from_run_to_run_is_the_sample():
    assert roles("a", "mean", "logvar", random={0}) == (SAMPLE, MEAN, LOG_VAR)


def test_names_that_do_not_tell_are_refused_with_what_was_found():
    with pytest.raises(ExportError, match=r"'dense_1' \[N, 2\], 'dense_2' \[N, 2\]; state them .*--encoder-outputs"):
        roles("dense_1", "dense_2")
    with pytest.raises(ExportError, match="one mean and one log-variance"):
        roles("mean", "mean_1", "logvar")


def test_what_may_be_a_standard_deviation_is_refused_until_it_is_named():
    with pytest.raises(ExportError, match="'log_sigma' seems to be the logarithm of a standard deviation: state which"):
        roles("mean", "log_sigma")
    with pytest.raises(ExportError, match="'z_tril' seems to be the triangle of a covariance: state which"):
        roles("mean", "z_tril")
    for name in ("sigma", "z_std", "variance"):
        with pytest.raises(ExportError, match=f"{name!r} may be a standard deviation or a variance"):
            roles("mean", name)
    with pytest.raises(ExportError, match="'logvar' ends in Softplus"):
        roles("mean", "logvar", last="Softplus")
    assert roles("mean", "sigma", named=(MEAN, STD), last="Softplus") == (MEAN, STD)


@pytest.mark.parametrize(
    ("names", "last", "advice"),
    [
        (("z_mean", "z_std"), "Softplus", "mean,std"),
        (("z_mean", "z_log_std"), "BiasAdd", "mean,log_std"),
        (("z_mean", "z_var"), "Softplus", "mean,var"),
        # A variance is never negative.
        (("fc_mean", "fc_var"), "BiasAdd", "mean,log_var"),
        (("scale", "loc"), "Exp", "std,mean"),
        (("z_mean", "logvar"), "Softplus", "mean,std"),
        (("dense", "dense_1"), "BiasAdd", "mean,log_var"),
        (("z_mean", "clip"), "Minimum", "mean,log_var"),
        (("other", "z_mean", "clip"), "Minimum", "log_var,mean,sample"),
    ],
)
def test_the_advice_is_a_choice_that_works(names, last, advice):
    with pytest.raises(ExportError, match=f"--encoder-outputs.*for example {advice}$"):
        roles(*names, last=last)
    roles(*names, last=last, named=tuple(Role(word) for word in advice.split(",")))


def test_what_is_neither_mean_nor_spread_is_left_out():
    found = encoder_roles(
        [*tensors("z_mean", "z_log_var"), Tensor(name="logits", dtype="float32", shape=(None, 7))],
        set(),
        None,
        ["BiasAdd"] * 3,
        (2,),
    )
    assert found == (MEAN, LOG_VAR, Role.OTHER)


def test_a_mean_alone_is_taken_without_a_posterior():
    assert roles("z_mean") == roles("dense") == (MEAN,)
    assert roles("dense", "z", random={1}) == roles("a", "b", named=(MEAN, SAMPLE)) == (MEAN, SAMPLE)
    # What is left beside a sample is not the mean if its name says otherwise.
    with pytest.raises(ExportError, match="one mean and one log-variance"):
        roles("z_log_var", "z", random={1})
    logits = Tensor(name="logits", dtype="float32", shape=(None, 7))
    with pytest.raises(ExportError, match="--encoder-outputs mean,other exports the mean alone"):
        encoder_roles([*tensors("z_mean"), logits], set(), None, ["BiasAdd"] * 2, (2,))


def test_a_covariance_is_known_by_its_width():
    triangle = Tensor(name="params", dtype="float32", shape=(None, 3))
    with pytest.raises(ExportError, match="for example mean,tril$"):
        encoder_roles([*tensors("z_mean"), triangle], set(), None, ["BiasAdd"] * 2, (2,))
    assert shapes_of(Role.TRIL, (2,)) == ((3,), (2, 2))


def test_every_spread_becomes_the_log_variance():
    factor = np.tril(np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3))
    covariance = factor @ factor.transpose(0, 2, 1)
    expected = np.log(np.diagonal(covariance, axis1=1, axis2=2))
    variance = np.exp(expected)
    for role, values in (
        (Role.VAR, variance),
        (Role.STD, np.sqrt(variance)),
        (Role.LOG_STD, expected / 2),
        (Role.COV, covariance),
        (Role.TRIL, factor),
        (Role.TRIL, factor[:, *np.tril_indices(3)]),
    ):
        port = Port(name="a", role=role, dtype="float32", shape=())
        (found,) = converted(port, tf.constant(values))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_output_of_twice_the_latent_is_both():
    assert roles("dense", latent_dim=1) == (Role.MEAN_LOG_VAR,)
    assert roles("dense", "z", random={1}, latent_dim=1) == (Role.MEAN_LOG_VAR, SAMPLE)
    assert roles("dense", named=(Role.LOG_VAR_MEAN,), latent_dim=1) == (Role.LOG_VAR_MEAN,)
    with pytest.raises(ExportError, match="one mean and one log-variance"):
        roles("a", "b", named=(Role.MEAN_LOG_VAR, MEAN))


def test_named_outputs_are_checked():
    assert roles("a", "b", named=(LOG_VAR, MEAN)) == (LOG_VAR, MEAN)
    with pytest.raises(ExportError, match="must name 2 outputs, got 1"):
        roles("a", "b", named=(MEAN,))
    with pytest.raises(ExportError, match="one mean and one log-variance"):
        roles("a", "b", named=(LOG_VAR, SAMPLE))
    with pytest.raises(ExportError, match=r"mean \('a'\) differs from run to run"):
        roles("a", "b", random={0}, named=(MEAN, LOG_VAR))
