from dataclasses import replace

import pytest

from pocketvae.errors import SpecError
from pocketvae.fields import Channel, DataKind
from pocketvae.outputs import Meaning, Output
from pocketvae.spec import Component
from pocketvae.vae_spec import (
    Condition,
    ConditionKind,
    Latent,
    Likelihood,
    PriorKind,
    VaeSpec,
    class_label,
    vector_latent,
)
from tests.sounds import sound_vae


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_shape": (0, 8, 1)}, "data_shape must be height, width, channels, each positive"),
        ({"latents": ()}, "latents must have different names"),
        (
            {"latents": (Latent(name="a", shape=(2,)), Latent(name="x", shape=(2,)))},
            "several latents must have names of their own",
        ),
        (
            {"latents": (Latent(name="a", shape=(2,)), Latent(name="b", shape=(2,))), "prior": PriorKind.REALNVP},
            "several latents must have names of their own and the prior standard",
        ),
        (
            {"latents": (Latent(name="label", shape=(2,)),), "conditions": class_label(3)},
            "latents and conditions must have different names",
        ),
    ],
)
def test_a_vae_without_extent_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        VaeSpec(**{"data_shape": (8, 8, 1), "latents": vector_latent(2), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": -1}, "a label must have at least 1 class, got -1"),
        ({"kind": ConditionKind.CONTINUOUS}, "a continuous condition must be positive in every dimension"),
        ({"count": 3, "range": (1.0, 1.0)}, "the range of a condition must be"),
    ],
)
def test_a_condition_without_extent_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        Condition(**changes)


def test_codes_are_integers_alone_or_beside_real_numbers():
    latent = Latent(shape=(7, 7), codes=64)
    vae = VaeSpec(data_shape=(28, 28, 1), latents=(latent,), prior=PriorKind.UNIFORM)
    (z,) = vae.inputs(Component.DECODER)
    assert (z.name, z.dtype, z.shape) == ("z", "int32", (1, 7, 7))
    assert (vae.codes, vae.latent_dim, vae.components) == (64, 49, (Component.ENCODER, Component.DECODER))
    for changes in ({"prior": PriorKind.STANDARD}, {"latents": (latent, Latent(name="b", shape=(2,)))}):
        with pytest.raises(SpecError, match="the prior must be uniform if all latents are integer codes, else another"):
            VaeSpec(**{"data_shape": (8, 8, 1), "latents": (latent,), "prior": PriorKind.UNIFORM, **changes})
    with pytest.raises(SpecError, match="the prior of integer codes must be uniform, got mixture"):
        VaeSpec(data_shape=(8, 8, 1), latents=(latent,), prior=PriorKind.MIXTURE)
    mixed = VaeSpec(data_shape=(8, 8, 1), latents=(Latent(name="b", shape=(2,)), replace(latent, name="c")))
    assert [spec.dtype for spec in mixed.inputs(Component.DECODER)] == ["float32", "int32"]
    assert mixed.output_names(Component.ENCODER) == ("b_mean", "b_log_var", "c")
    assert (mixed.codes, mixed.is_discrete, mixed.has_posterior, mixed.prior) == (64, False, False, PriorKind.STANDARD)
    with pytest.raises(SpecError, match="compress needs posteriors, but a latent of this VAE is integer codes"):
        mixed.check_posterior("compress")
    grids = (latent, Latent(name="b", shape=(14, 14), codes=32))
    vae = VaeSpec(data_shape=(28, 28, 1), latents=grids, prior=PriorKind.UNIFORM)
    assert (vae.codes, vae.latent_dim, vae.latent_shape) == (64, 245, (245,))
    with pytest.raises(SpecError, match="at most 32768 codes, got 40000"):
        Latent(shape=(2,), codes=40_000)


def test_several_conditions_are_inputs_of_all_that_has_data():
    pose = Condition(name="pose", kind=ConditionKind.CONTINUOUS, shape=(4,))
    conditions = (Condition(name="digit", count=10), pose)
    vae = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2), conditions=conditions)
    assert vae.label_count == 0
    for part in (Component.ENCODER, Component.DECODER, Component.GENERATOR):
        assert [(spec.name, spec.dtype, spec.shape) for spec in vae.inputs(part)[-2:]] == [
            ("digit", "int32", (1,)),
            ("pose", "float32", (1, 4)),
        ]
    assert [spec.name for spec in vae.inputs(Component.SAMPLER)] == ["seed", "index"]


def test_a_vae_says_what_its_parts_take_and_return():
    vae = VaeSpec(
        data_shape=(8, 6, 3),
        latents=vector_latent(2),
        likelihood=Likelihood.DISCRETIZED_LOGISTIC,
        prior=PriorKind.VAMP,
        conditions=class_label(4),
    )
    shapes = {part: [(spec.name, spec.dtype, spec.shape) for spec in vae.inputs(part)] for part in vae.exports}
    assert shapes == {
        Component.ENCODER: [("x", "float32", (1, 8, 6, 3)), ("label", "int32", (1,))],
        Component.DECODER: [("z", "float32", (1, 2)), ("label", "int32", (1,))],
        Component.PRIOR: [("eps", "float32", (1, 3))],
        Component.SAMPLER: [("seed", "int32", (1,)), ("index", "int32", (1,))],
        Component.GENERATOR: [("seed", "int32", (1,)), ("index", "int32", (1,)), ("label", "int32", (1,))],
    }
    assert vae.likelihood.decoder_outputs == 2
    outputs = [("z_mean", "z_log_var"), ("image",), ("z",), ("z",), ("image",)]
    assert [vae.output_names(part) for part in vae.exports] == outputs


def test_a_standard_prior_is_no_component():
    vae = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2))
    assert vae.components == (Component.ENCODER, Component.DECODER)
    assert vae.exports == (*vae.components, Component.SAMPLER, Component.GENERATOR)
    assert [part for part in vae.exports if part.is_composed] == [Component.SAMPLER, Component.GENERATOR]
    assert vae.eps_dim == vae.latent_dim


def test_a_vae_of_sounds_takes_samples_and_makes_spectrograms():
    vae = sound_vae()
    shapes = {component: vae.inputs(component)[0] for component in (Component.ENCODER, Component.RECONSTRUCTOR)}
    assert {(spec.name, spec.shape) for spec in shapes.values()} == {("x", (1, 256, 1))}
    assert [(spec.name, spec.shape) for spec in vae.inputs(Component.SCORER)] == [("window", (1, 256, 1))]
    assert vae.tensor_shape(Component.DECODER) == (7, 8)
    assert (vae.input_rate_hz, vae.input_range, vae.input_channels) == (1000, (-1.0, 1.0), ())
    behind = vae.behind_front_end
    assert (behind.input_shape, behind.input_rate_hz, len(behind.input_channels)) == ((7, 8), 1000 / 32, 8)
    assert behind.behind_front_end is behind


@pytest.mark.parametrize(
    "changes", [{"data_shape": (8, 8)}, {"channels": ()}, {"data_shape": (7, 4), "channels": (Channel(),) * 4}]
)
def test_a_front_end_must_make_the_data(changes):
    with pytest.raises(SpecError, match="log_mel must make the data, sequences"):
        sound_vae(**changes)


def test_a_decoder_returns_its_data_first_and_more_outputs_behind():
    noise = Output(
        name="x_log_var", data=DataKind.IMAGE, shape=(8, 8, 1), meaning=Meaning.LOG_VAR, data_range=(-3.0, -2.5)
    )
    half = Output(name="half", data=DataKind.IMAGE, shape=(4, 4, 1), data_range=(-1.0, 1.0))
    vae = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2), more_outputs=(noise, half))
    for part in (Component.DECODER, Component.GENERATOR, Component.RECONSTRUCTOR):
        assert vae.output_names(part) == ("image", "x_log_var", "half")
    assert vae.output_names(Component.SAMPLER) == ("z",)
    assert [(item.name, item.is_picture, item.span) for item in vae.outputs] == [
        ("image", True, 1.0),
        ("x_log_var", False, 2.0),
        ("half", True, 2.0),
    ]
    assert (vae.span_of("half"), vae.span_of("z_mean")) == (2.0, 1.0)
    assert (vae.output_of("x_log_var"), vae.output_of("z")) == (noise, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "image"}, r"names that no other tensor has, got \['image'\]"),
        ({"name": "z"}, r"names that no other tensor has, got \['z'\]"),
        ({"name": "log-var"}, "of letters, digits and _, got 'log-var'"),
        ({"name": "a", "shape": (0,)}, "a must be positive in every dimension"),
        ({"name": "a", "data_range": (1.0, 1.0)}, "range of a must be"),
    ],
)
def test_outputs_that_cannot_be_are_refused(changes, message):
    def make():
        output = Output(**{"data": DataKind.VECTOR, "shape": (3,), **changes})
        return VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2), more_outputs=(output,))

    with pytest.raises(SpecError, match=message):
        make()


def test_a_likelihood_of_two_outputs_has_no_more():
    output = Output(name="a", data=DataKind.VECTOR, shape=(3,))
    with pytest.raises(SpecError, match="discretized_logistic has no more outputs"):
        VaeSpec(
            data_shape=(8, 8, 1),
            latents=vector_latent(2),
            likelihood=Likelihood.DISCRETIZED_LOGISTIC,
            more_outputs=(output,),
        )
