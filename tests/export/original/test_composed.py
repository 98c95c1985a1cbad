import numpy as np
import pytest

from pocketvae.export.original import composed
from pocketvae.export.original.cost import parameter_count
from pocketvae.numerics.noise import normal_noise
from pocketvae.numerics.tolerance import error_ratio
from pocketvae.spec import Component
from pocketvae.vae_spec import PriorKind, VaeSpec, class_label, vector_latent

STANDARD = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(3))
LEARNED = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(3), prior=PriorKind.MIXTURE, conditions=class_label(5))


@pytest.mark.parametrize(
    ("vae", "asked", "expected"),
    [
        (STANDARD, (Component.GENERATOR,), {Component.GENERATOR, Component.SAMPLER, Component.DECODER}),
        (STANDARD, (Component.SAMPLER,), {Component.SAMPLER}),
        (LEARNED, (Component.SAMPLER,), {Component.SAMPLER, Component.PRIOR}),
        (LEARNED, (Component.ENCODER,), {Component.ENCODER}),
    ],
)
def test_what_is_asked_for_comes_with_its_parts(vae, asked, expected):
    found = composed.with_parts(asked, vae)
    assert found[: len(asked)] == asked
    assert set(found) == expected
    assert len(found) == len(expected)


def test_only_the_noise_itself_is_exact():
    assert composed.is_exact(Component.SAMPLER, STANDARD)
    assert not composed.is_exact(Component.SAMPLER, LEARNED)
    assert not composed.is_exact(Component.GENERATOR, STANDARD)


@pytest.mark.parametrize(("vae", "component"), [(STANDARD, Component.SAMPLER), (LEARNED, Component.GENERATOR)])
def test_goldens_reach_the_ends_of_the_integers(vae, component):
    samples = composed.golden_inputs(component, vae, np.random.default_rng(0))
    assert list(samples.inputs) == [spec.name for spec in vae.inputs(component)]
    assert [(stratum.name, stratum.count) for stratum in samples.strata] == [
        ("extremes", 25),
        ("sequence", 128),
        ("random", 128),
    ]
    count = sum(stratum.count for stratum in samples.strata)
    assert all(values.shape == (count,) and values.dtype == np.int32 for values in samples.inputs.values())
    for name in ("seed", "index"):
        assert {-(2**31), -1, 0, 2**31 - 1} <= set(samples.inputs[name].tolist())
    if "label" in samples.inputs:
        assert set(samples.inputs["label"].tolist()) == set(range(5))


def test_noise_takes_the_place_of_seed_and_index():
    inputs = {name: np.arange(4, dtype=np.int32) for name in ("seed", "index", "label")}
    noise = composed.with_noise(inputs, LEARNED)
    assert list(noise) == ["eps", "label"]
    np.testing.assert_array_equal(noise["eps"], normal_noise(inputs["seed"], inputs["index"], 4))


def test_a_limit_of_nothing_is_held_by_nothing_alone():
    assert error_ratio(0.0, 0.0) == 0.0
    assert error_ratio(1e-9, 0.0) == float("inf")
    assert error_ratio(1.0, 4.0) == 0.25
    assert np.isnan(error_ratio(float("nan"), 4.0))


@pytest.mark.parametrize(("parameters", "each"), [(0, 3), (50_000_000, 1)])
def test_generators_whose_calls_take_seconds_have_a_golden_of_every_kind(parameters, each):
    large = VaeSpec(data_shape=(512, 512, 3), latents=vector_latent(3))
    rng = np.random.default_rng(0)
    strata = composed.golden_inputs(Component.GENERATOR, large, rng, parameters=parameters).strata
    assert [stratum.count >= each for stratum in strata] == [True] * 3
    assert parameters == 0 or [stratum.count for stratum in strata] == [1, 1, 1]


def test_generators_of_large_images_have_few_goldens_of_every_kind():
    large = VaeSpec(data_shape=(512, 512, 3), latents=vector_latent(3))
    strata = composed.golden_inputs(Component.GENERATOR, large, np.random.default_rng(0)).strata
    assert [(kind.name, kind.count) for kind in strata] == [("extremes", 3), ("sequence", 3), ("random", 3)]
    assert composed.golden_inputs(Component.SAMPLER, large, np.random.default_rng(0)).strata[1].count == 128


@pytest.mark.slow
@pytest.mark.parametrize("takes_label", [False, True])
def test_a_decoder_of_another_library_gets_tensors_alone(takes_label):
    """Keras 3 does not take an array beside a tensor."""
    import tensorflow as tf

    def decoder(inputs, training):
        assert all(tf.is_tensor(item) for item in inputs)
        return inputs[0] + tf.cast(inputs[1], tf.float32)[:, None]

    def prior(inputs, training):
        assert isinstance(inputs, list) == takes_label
        return tf.convert_to_tensor(inputs[0] if takes_label else inputs)

    chained = composed.Chained(prior, decoder, takes_label=takes_label)
    found = chained([np.ones((2, 3), np.float32), np.array([1, 2], np.int32)])
    assert np.asarray(found).tolist() == [[2, 2, 2], [3, 3, 3]]


def test_the_weights_of_a_prior_and_a_decoder_of_another_library_are_those_of_both():
    class Weighted:
        def __init__(self, *sizes):
            self._weights = [np.ones(size, np.float32) for size in sizes]

        def get_weights(self):
            return self._weights

    chained = composed.Chained(Weighted(3, 4), Weighted(5))
    assert [weight.size for weight in chained.get_weights()] == [3, 4, 5]
    # What a call of it costs is known from these.
    assert parameter_count(chained) == 12
