import math

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.fields import Channel, ChannelKind
from pocketvae.numerics.likelihoods import (
    Observed,
    bernoulli_log_likelihood,
    channel_log_likelihoods,
    discretized_logistic_log_likelihood,
    gaussian_log_likelihood,
    has_elbo,
    log_likelihood,
    own_noise_log_likelihood,
)
from pocketvae.outputs import Meaning, Output
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

X = np.array([0, 1], np.uint8).reshape(1, 1, 2, 1)


def vae_of(likelihood, shape, **changes):
    return VaeSpec(data_shape=shape, latents=vector_latent(1), likelihood=likelihood, **changes)


def test_bernoulli_is_the_sum_of_logarithms():
    p = np.array([0.25, 0.75], np.float32).reshape(1, 1, 2, 1)
    assert bernoulli_log_likelihood(X, p) == pytest.approx([2 * math.log(0.75)])


def test_a_probability_of_exactly_nothing_costs_a_finite_amount():
    p = np.array([1.0, 0.0], np.float32).reshape(1, 1, 2, 1)
    assert bernoulli_log_likelihood(X, p) == pytest.approx([2 * math.log(1e-6)], rel=1e-6)


def test_a_gaussian_of_the_mean_has_the_normal_density():
    x = np.full((1, 1, 1, 1), 0.5)
    assert gaussian_log_likelihood(x, x, 0.1) == pytest.approx([-math.log(0.1 * math.sqrt(2 * math.pi))])


def test_the_masses_of_a_discretized_logistic_sum_to_1():
    x = (np.arange(256) / 255).reshape(256, 1, 1, 1)
    mean, log_scale = np.full_like(x, 0.3), np.full_like(x, -3.0)
    assert np.exp(discretized_logistic_log_likelihood(x, mean, log_scale)).sum() == pytest.approx(1.0)


def test_a_discretized_logistic_gives_black_and_white_all_that_lies_beyond():
    # By hand: the distribution function is a sigmoid; the mean lies half a step from the edge, the scale is a step.
    x, mean = np.array([0.0, 1.0]).reshape(2, 1, 1, 1), np.array([0.5, 254.5]).reshape(2, 1, 1, 1) / 255
    log_scale = np.full_like(x, -math.log(255))
    assert discretized_logistic_log_likelihood(x, mean, log_scale) == pytest.approx([math.log(0.5)] * 2)


def test_a_scale_is_not_taken_for_smaller_than_training_lets_it_be():
    x = np.full((1, 1, 1, 1), 100 / 255)
    values = [
        discretized_logistic_log_likelihood(x, x + 0.01, np.full_like(x, scale))[0] for scale in (-20.0, -7.0, -6.9)
    ]
    assert values[0] == values[1] < values[2]


@pytest.mark.slow
def test_they_are_those_of_training():
    from pocketvae.train import likelihoods as trained

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 4, 4, 1)).astype(np.float32)
    x = (rng.random(logits.shape) < 0.5).astype(np.uint8)
    grey = (rng.integers(0, 256, logits.shape) / 255).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(
        bernoulli_log_likelihood(x, probabilities),
        trained.bernoulli_log_likelihood(x.astype(np.float32), logits),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        gaussian_log_likelihood(grey, probabilities, 0.2),
        trained.gaussian_log_likelihood(grey, probabilities, np.float32(0.04)),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        discretized_logistic_log_likelihood(grey, probabilities, logits - 3),
        trained.discretized_logistic_log_likelihood(grey, probabilities, logits - 3),
        rtol=1e-4,
    )


def test_the_same_images_change_nothing_and_samples_without_an_image_do_not_count():
    rng = np.random.default_rng(0)
    images = rng.random((5, 2, 2, 1)).astype(np.float32)
    other = images.copy()
    other[3:] = 0.5
    observed = Observed.of(vae_of(Likelihood.BERNOULLI, (2, 2, 1)), (images[:3] > 0.5).astype(np.uint8))
    assert observed.elbo_change(images, images) == 0
    assert observed.elbo_change(images, other) == 0
    other[0] = 0.5
    assert observed.elbo_change(images, other) > 0


LIKELIHOODS = {
    Likelihood.BERNOULLI: {},
    Likelihood.GAUSSIAN: {"noise_scale": 0.3},
    Likelihood.DISCRETIZED_LOGISTIC: {"log_scale": True},
}


def observed_of(likelihood, count):
    """Images that do not all fit into one part, each with scales of its own."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 2 if likelihood is Likelihood.BERNOULLI else 256, (count, 64, 64, 3), np.uint8)
    values = dict(LIKELIHOODS[likelihood])
    if "log_scale" in values:
        values["log_scale"] = rng.normal(-2, 0.5, x.shape).astype(np.float32)
    images = rng.random((2, *x.shape)).astype(np.float32)
    log_scale = values.pop("log_scale", None)
    return Observed.of(vae_of(likelihood, x.shape[1:], **values), x, log_scale), *images


def signed_change(observed, one, other):
    """Returns the same change with its sign, of the formulas."""
    x = observed.x.astype(np.float64)
    vae = observed.vae
    if vae.likelihood is Likelihood.BERNOULLI:
        terms = [bernoulli_log_likelihood(x, images) for images in (one, other)]
    elif vae.likelihood is Likelihood.GAUSSIAN:
        terms = [gaussian_log_likelihood(x / 255, images, vae.noise_scale) for images in (one, other)]
    else:
        terms = [discretized_logistic_log_likelihood(x / 255, images, observed.log_scale) for images in (one, other)]
    return float(np.mean(terms[1] - terms[0]))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_order_of_the_images_changes_nothing(likelihood):
    observed, one, other = observed_of(likelihood, 5)
    order = np.array([3, 1, 4, 0, 2])
    change = observed.reordered(order).elbo_change(one[order], other[order])
    assert change == pytest.approx(observed.elbo_change(one, other))
    assert change == pytest.approx(abs(signed_change(observed, one, other)))


def test_every_known_likelihood_has_an_elbo():
    for likelihood in LIKELIHOODS:
        assert has_elbo(VaeSpec(data_shape=(1, 1, 1), latents=vector_latent(1), likelihood=likelihood, noise_scale=0.3))


def test_a_change_counts_in_either_direction():
    x = np.ones((1, 1, 1, 1), np.uint8)
    observed = Observed.of(vae_of(Likelihood.BERNOULLI, (1, 1, 1)), x)
    low, high = np.full((1, 1), 0.5, np.float32), np.full((1, 1), 0.75, np.float32)
    assert observed.elbo_change(low, high) == pytest.approx(math.log(1.5))
    assert observed.elbo_change(high, low) == pytest.approx(math.log(1.5))


def test_an_unknown_likelihood_has_no_elbo():
    vae = VaeSpec(data_shape=(1, 1, 1), latents=vector_latent(1), likelihood=Likelihood.UNKNOWN)
    assert not has_elbo(vae)
    image = np.zeros((1, 1, 1, 1), np.float32)
    with pytest.raises(SpecError, match="needs a known likelihood, got unknown"):
        Observed.of(vae, image.astype(np.uint8)).elbo_change(image, image)


REALS = (Channel(name="a", noise_scale=0.5), Channel(name="b", noise_scale=2.0))
MIXED = (
    Channel(name="length", noise_scale=0.25),
    Channel(name="material", kind=ChannelKind.CATEGORY, categories=("steel", "brass", "tin")),
    Channel(name="coated", kind=ChannelKind.BINARY),
)


def sequences(likelihood, **changes):
    return vae_of(likelihood, (4, 2), data=DataKind.SEQUENCE, channels=REALS, range_is_strict=False, **changes)


def rows(channels=MIXED):
    return vae_of(Likelihood.MIXED, (5,), data=DataKind.VECTOR, channels=channels, range_is_strict=False)


def test_channels_have_the_densities_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    x, mean = rng.normal(size=(2, 3, 4, 2))
    scales = np.array([0.5, 2.0])
    gaussian = channel_log_likelihoods(sequences(Likelihood.GAUSSIAN), x, mean)
    np.testing.assert_allclose(gaussian, stats.norm.logpdf(x, mean, scales).sum(axis=1))
    student = sequences(Likelihood.STUDENT_T, degrees_of_freedom=3.5)
    expected = stats.t.logpdf(x, 3.5, mean, scales).sum(axis=1)
    np.testing.assert_allclose(channel_log_likelihoods(student, x, mean), expected)
    np.testing.assert_allclose(log_likelihood(student, x, mean), expected.sum(axis=1))


def test_columns_of_a_table_have_the_masses_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    x = np.array([[0.1, 0, 1, 0, 1], [-0.2, 1, 0, 0, 0]])
    decoded = np.array([[0.3, 0.2, 0.5, 0.3, 0.9], [0.0, 0.1, 0.1, 0.8, 0.4]])
    found = channel_log_likelihoods(rows(), x, decoded)
    np.testing.assert_allclose(found[:, 0], stats.norm.logpdf(x[:, 0], decoded[:, 0], 0.25))
    expected = [stats.multinomial.logpmf(one, 1, p) for one, p in zip(x[:, 1:4], decoded[:, 1:4], strict=True)]
    np.testing.assert_allclose(found[:, 1], expected)
    np.testing.assert_allclose(found[:, 2], stats.bernoulli.logpmf(x[:, 4].astype(int), decoded[:, 4]))


def test_a_change_of_the_elbo_of_sequences_is_that_of_their_densities():
    rng = np.random.default_rng(1)
    x, one, other = rng.normal(size=(3, 6, 4, 2)).astype(np.float32)
    vae = sequences(Likelihood.GAUSSIAN)
    expected = abs(np.mean(log_likelihood(vae, x, other) - log_likelihood(vae, x, one)))
    # Latents of no item come behind those of items.
    change = Observed.of(vae, x[:4]).elbo_change(one, other)
    assert change == pytest.approx(abs(np.mean((log_likelihood(vae, x, other) - log_likelihood(vae, x, one))[:4])))
    assert Observed.of(vae, x).elbo_change(one, other) == pytest.approx(expected)


def test_an_elbo_needs_the_noise_of_every_real_channel():
    assert has_elbo(rows())
    assert has_elbo(sequences(Likelihood.GAUSSIAN))
    assert not has_elbo(rows((Channel(name="length"), *MIXED[1:])))
    plain = vae_of(Likelihood.UNKNOWN, (4, 2), data=DataKind.SEQUENCE, range_is_strict=False)
    assert not has_elbo(plain)


def test_the_spread_of_an_elbo_is_that_of_its_quartiles():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4000, 4, 2))
    vae = sequences(Likelihood.GAUSSIAN)
    decoded = np.zeros_like(x)
    decoded[:40] = 100  # What is far off does not count.
    nats = log_likelihood(vae, x[40:], decoded[40:])
    # The noise is 1, and its scales are said to be 0.5 and 2: half of the sum of 4 squares over 0.25 and 4 over 4.
    assert np.std(nats) == pytest.approx(0.5 * math.sqrt(4 * 2 * (16 + 1 / 16)), rel=0.05)
    assert Observed.of(vae, x).spread_nats(decoded) == pytest.approx(np.std(nats), rel=0.15)
    image = np.ones((1, 1, 1, 1), np.uint8)
    assert Observed.of(vae_of(Likelihood.BERNOULLI, (1, 1, 1)), image).spread_nats(image) == 0


@pytest.mark.parametrize(
    ("meaning", "value"),
    [(Meaning.LOG_VAR, 2 * math.log(0.2)), (Meaning.LOG_STD, math.log(0.2)), (Meaning.VAR, 0.04), (Meaning.STD, 0.2)],
)
@pytest.mark.parametrize("shape", [(2, 1, 1), (2,), (1,), ()])
def test_a_decoder_s_own_noise_is_that_of_each_value_or_of_several(meaning, value, shape):
    noise = Output(name="noise", data=DataKind.IMAGE, shape=shape, meaning=meaning)
    vae = vae_of(Likelihood.UNKNOWN, (2, 1, 1), more_outputs=(noise,), data_range=(-1.0, 1.0))
    x = np.array([0.1, -0.3]).reshape(1, 2, 1, 1)
    outputs = {"image": np.zeros((1, 2, 1, 1)), "noise": np.full((1, *shape), value)}
    # As densities of pixels from 0 to 1, whose values and noise are half as large.
    expected = sum(-0.5 * (value / 0.2) ** 2 - math.log(0.1 * math.sqrt(2 * math.pi)) for value in (0.1, -0.3))
    assert own_noise_log_likelihood(vae, x, outputs) == pytest.approx([expected])


def test_a_noise_of_0_costs_a_finite_amount():
    noise = Output(name="noise", data=DataKind.VECTOR, shape=(2,), meaning=Meaning.STD)
    vae = vae_of(Likelihood.UNKNOWN, (2,), data=DataKind.VECTOR, more_outputs=(noise,))
    found = own_noise_log_likelihood(vae, np.ones((1, 2)), {"vector": np.zeros((1, 2)), "noise": np.zeros((1, 2))})
    assert np.isfinite(found).all()


def test_without_an_output_of_noise_there_is_no_likelihood_with_it():
    with pytest.raises(SpecError, match="returns no noise"):
        own_noise_log_likelihood(vae_of(Likelihood.UNKNOWN, (2, 1, 1)), X, {})
