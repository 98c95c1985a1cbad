import numpy as np
import pytest
import tensorflow as tf

from pocketvae.errors import ExportError, SpecError
from pocketvae.export import DecoderOutput, ExternalModels, Role
from pocketvae.export.external.roles import (
    data_kind_of,
    encoder_roles,
    image_shape_of,
    output_meaning,
    shapes_of,
)
from pocketvae.keras.custom_code import CustomCode, custom_parts
from pocketvae.keras.external import converted
from pocketvae.keras.loading import Tensor
from pocketvae.vae_spec import DataKind, Likelihood

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
    for name in ("sigma", "z_std", "variance", "log_sigma"):
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
        (found,) = converted(role, tf.constant(values))
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


@pytest.mark.parametrize(
    ("named", "last", "low", "high", "likelihood", "limits", "strict", "doubt"),
    [
        (None, "Sigmoid", 0.1, 0.9, Likelihood.UNKNOWN, (0, 1), True, False),
        (None, "Maximum", 0.0, 1.0, Likelihood.UNKNOWN, (0, 1), True, False),
        (None, "Tanh", -0.5, 0.9, Likelihood.UNKNOWN, (-1, 1), True, False),
        (None, "BiasAdd", -6.123, 7.5, Likelihood.UNKNOWN, (-6.2, 7.5), False, True),
        (None, "Relu", 0.0, 0.9, Likelihood.UNKNOWN, (0, 1), False, True),
        (DecoderOutput.IMAGE, "Mul", 0.0, 255.0, Likelihood.UNKNOWN, (0, 255), False, False),
        (DecoderOutput.LOGITS, "BiasAdd", -6.0, 7.0, Likelihood.BERNOULLI, (0, 1), True, False),
        (DecoderOutput.PROBABILITIES, "Mul", 0.0, 1.0, Likelihood.UNKNOWN, (0, 1), True, False),
    ],
)
def test_the_meaning_of_a_decoder_s_output(named, last, low, high, likelihood, limits, strict, doubt):
    meaning = output_meaning(named, last, low, high)
    assert (meaning.likelihood, meaning.is_strict, bool(meaning.doubt)) == (likelihood, strict, doubt)
    assert meaning.data_range == pytest.approx(limits)


def test_what_was_named_must_fit_the_samples():
    with pytest.raises(ExportError, match=r"probabilities needs values in \[0, 1\], got -6 to 7"):
        output_meaning(DecoderOutput.PROBABILITIES, "BiasAdd", -6.0, 7.0)
    with pytest.raises(ExportError, match="cannot be logits if its last operator is Sigmoid"):
        output_meaning(DecoderOutput.LOGITS, "Sigmoid", 0.0, 1.0)


def test_image_shapes():
    assert image_shape_of((8, 9, 3), None) == (8, 9, 3)
    assert image_shape_of((784,), None) == (28, 28, 1)
    assert image_shape_of((192,), None) == (8, 8, 3)
    assert image_shape_of((24,), (4, 2, 3)) == (4, 2, 3)
    assert image_shape_of((3, 28, 28), (3, 28, 28)) == (3, 28, 28)
    assert image_shape_of((28, 28, 16), None) == (28, 28, 16)
    for shape, named, message in (
        ((24,), None, "24 values are not a square image: state the shape with --image-shape"),
        ((24,), (4, 4, 1), "must have the decoder's 24 values, got 16"),
        ((8, 8, 1), (4, 4, 4), "must be 8,8,1 as in the decoder, got 4,4,4"),
        (
            (3, 28, 28),
            None,
            r"looks like channels first: end it with a Permute\(\(2, 3, 1\)\) layer, or state --image-",
        ),
        ((8, 8), None, r"an image must be \[N, H, W, C\] or a flat \[N, P\], got \[N, 8, 8\]"),
    ):
        with pytest.raises(ExportError, match=message):
            image_shape_of(shape, named)


def kind(shape, stated=None, named=None, taken=None, is_bounded=False):
    return data_kind_of(shape, stated, named=named, taken=taken, is_bounded=is_bounded)


@pytest.mark.parametrize(
    ("shape", "changes", "expected"),
    [
        ((28, 28), {"is_bounded": True, "has_steps": False}, DataKind.IMAGE),
        ((28, 28), {"is_bounded": True, "has_steps": True}, DataKind.SEQUENCE),
        ((28, 28), {"is_bounded": False, "has_steps": False}, DataKind.SEQUENCE),
        ((64, 3), {"is_bounded": True, "has_steps": False}, DataKind.SEQUENCE),
        ((8, 8), {"is_bounded": False, "taken": (8, 8, 1)}, DataKind.IMAGE),
    ],
)
def test_a_missing_channel_axis_is_seen(shape, changes, expected):
    kind, doubt = data_kind_of(shape, None, **{"named": None, "taken": None, **changes})
    assert kind is expected
    assert ("--data-kind sequence says that they are not" in doubt) == (
        expected is DataKind.IMAGE and shape == (28, 28)
    )
    assert data_kind_of((8, 8), DataKind.IMAGE, named=None, taken=None, is_bounded=False) == (DataKind.IMAGE, "")


def test_the_kind_of_data_follows_from_the_shape():
    assert [kind(shape)[0] for shape in ((8, 8, 3), (64, 3), (4, 8, 8, 1), (24,))] == [
        DataKind.IMAGE,
        DataKind.SEQUENCE,
        DataKind.VOLUME,
        DataKind.VECTOR,
    ]
    with pytest.raises(ExportError, match=r"of 1 to 4 dimensions, got \[N, 1, 2, 3, 4, 5\]"):
        kind((1, 2, 3, 4, 5))


def test_a_square_number_of_values_is_an_image_only_where_they_are_bounded_like_pixels():
    assert kind((784,), is_bounded=True) == (
        DataKind.IMAGE,
        "the decoder's 784 values were assumed to be a 28x28 image: --data-kind vector says that they are not",
    )
    assert kind((3072,), is_bounded=True)[0] is DataKind.IMAGE
    assert kind((64,), is_bounded=True) == kind((784,)) == (DataKind.VECTOR, "")
    # An encoder of images, or the user, knows.
    assert kind((64,), taken=(8, 8, 1)) == kind((64,), named=(8, 8, 1)) == (DataKind.IMAGE, "")
    assert kind((64,), DataKind.IMAGE) == (DataKind.IMAGE, "")
    assert kind((784,), DataKind.VECTOR, is_bounded=True) == (DataKind.VECTOR, "")
    with pytest.raises(ExportError, match=r"a decoder of sequences returns \[N, time steps, channels\], got \[N, 64\]"):
        kind((64,), DataKind.SEQUENCE)


def test_foreign_code_is_found_without_loading():
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {}, "registered_name": None}
    foreign = {"module": None, "class_name": "Sampling", "config": {}, "registered_name": "Sampling"}
    away = {"module": "shop.layers", "class_name": "Warp", "config": {}, "registered_name": "shop>Warp"}
    lambda_ = {"class_name": "Lambda", "config": {"function": ["4wEA", None, None]}}
    assert custom_parts({"config": {"layers": [layer]}}) == ()
    assert custom_parts({"config": {"layers": [layer, foreign, away, lambda_]}}) == ("Sampling", "Warp", "Lambda")


def test_custom_code_is_a_python_file(tmp_path):
    file = tmp_path / "code.py"
    file.write_text("import math\n\n\nclass Layer:\n    pass\n\n\ndef double(x):\n    return 2 * x\n")
    assert sorted(CustomCode(allowed=True, file=str(file)).objects()) == ["Layer", "double"]
    file.write_text("raise ValueError('no')")
    with pytest.raises(ExportError, match="failed: ValueError: no"):
        CustomCode(allowed=True, file=str(file)).objects()
    with pytest.raises(ExportError, match="must be a Python file"):
        CustomCode(allowed=True, file=str(tmp_path / "none.py")).objects()


def test_options_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(SpecError, match="--encoder-outputs needs --encoder"):
        ExternalModels(decoder=tmp_path, encoder_outputs=(MEAN, LOG_VAR))
    with pytest.raises(SpecError, match="--image-shape must be positive"):
        ExternalModels(decoder=tmp_path, image_shape=(0, 1, 1))
    with pytest.raises(SpecError, match="--label-count must be at least 1"):
        ExternalModels(decoder=tmp_path, label_count=0)


@pytest.mark.parametrize(
    ("bounds", "expected", "strict"),
    [
        ((0.0, 1.0000001), (0.0, 1.0), True),
        ((-1.0, 1.0), (-1.0, 1.0), True),
        ((0.0, 255.0), (0.0, 255.0), True),
        ((-1000.0, 1000.0), (0.0, 1.0), False),
        (None, (0.0, 1.0), False),
    ],
)
def test_a_range_that_the_last_operators_prove_is_the_image_s(bounds, expected, strict):
    high = 200.0 if bounds == (0.0, 255.0) else 0.9
    meaning = output_meaning(None, "AddV2", 0.1, high, bounds)
    assert (meaning.data_range, meaning.is_strict) == (expected, strict)
    assert bool(meaning.doubt) is not strict
