"""Several samplings in one model: all are cut, and means stand for samples that later latents depend on."""

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.export.external.inspection import inspect_models
from pocketvae.export.external.messages import ExternalModels, PreparationRequest
from pocketvae.export.external.preparation import prepare_models
from pocketvae.keras.io import import_flavour, import_tensorflow
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Flavour, Role

pytestmark = pytest.mark.slow
FLAVOURS = (Flavour.KERAS2, Flavour.KERAS3)
X = np.linspace(0, 1, 32, dtype=np.float32).reshape(2, 4, 4, 1)


def sampling_class(keras):
    class Sampling(keras.layers.Layer):
        def call(self, inputs):
            return inputs[0] + 1.0 + 0.0 * inputs[1]

    return Sampling


class Levels:
    """A VAE of two latents, the second of which depends on a sample of the first."""

    def __init__(self, flavour):
        self.keras = keras = import_flavour(flavour)
        layers = keras.layers
        self.x = keras.Input((4, 4, 1), name="x")
        self.hidden = layers.Dense(5, activation="relu")(layers.Flatten()(self.x))
        self.first = [layers.Dense(3, name="mu_1")(self.hidden), layers.Dense(3, name="logvar_1")(self.hidden)]
        self.body = layers.Dense(5, activation="tanh")
        self.heads = [layers.Dense(2, name="mu_2"), layers.Dense(2, name="logvar_2")]
        self.joined, self.last = layers.Dense(8, activation="relu"), layers.Dense(16, activation="sigmoid")

    def second(self, z1):
        hidden = self.body(self.keras.layers.Concatenate()([self.hidden, z1]))
        return [head(hidden) for head in self.heads]

    def decoded(self, z1, z2):
        hidden = self.joined(self.keras.layers.Concatenate()([z1, z2]))
        return self.keras.layers.Reshape((4, 4, 1))(self.last(hidden))

    def encoder(self):
        return self.keras.Model(self.x, [*self.first, *self.second(self.first[0])])

    def decoder(self):
        z1, z2 = self.keras.Input((3,), name="z_1"), self.keras.Input((2,), name="z_2")
        return self.keras.Model([z1, z2], self.decoded(z1, z2))


def prepare(folder, decoder, encoder, **given):
    folder.mkdir()
    models = ExternalModels(decoder=decoder, encoder=encoder, **given)
    return prepare_models(PreparationRequest(models=models, folder=str(folder)))


def encoded(made):
    opened = open_model(made.models.encoder)
    return dict(zip([tensor.name for tensor in opened.outputs], opened.call([X]), strict=True))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_whole_vae_of_two_levels_is_cut_at_both(tmp_path, flavour):
    levels = Levels(flavour)
    draw = sampling_class(levels.keras)
    z1 = draw(name="draw_1")(levels.first)
    z2 = draw(name="draw_2")(levels.second(z1))
    path = tmp_path / "whole.keras"
    levels.keras.Model(levels.x, levels.decoded(z1, z2)).save(path)
    made = prepare(tmp_path / "made", path, path)
    found = encoded(made)
    assert list(found) == ["z1_log_var", "z1_mean", "z2_log_var", "z2_mean"]
    assert made.models.encoder_outputs == (Role.LOG_VAR, Role.MEAN) * 2
    for name, value in zip(("z1_mean", "z1_log_var", "z2_mean", "z2_log_var"), levels.encoder()(X), strict=True):
        np.testing.assert_allclose(found[name], value, atol=1e-6)
    z = [np.ones((2, 3), np.float32), np.ones((2, 2), np.float32)]
    np.testing.assert_array_equal(open_model(made.models.decoder).call(z)[0], levels.decoder()(z))
    assert "mu_2 [2], logvar_2 [2] -> draw_2 (Sampling, left out) -> z2 [2] -> [decoder] ->" in made.found[0]
    assert "the mean of 'z1' stands for its sample" in made.facts["posterior"]
    assert "generators draw both independently from N(0, I)" in made.doubts[0]
    vae = inspect_models(made.models).vae
    assert [(latent.name, latent.shape) for latent in vae.latents] == [("z1", (3,)), ("z2", (2,))]
    assert vae.has_posterior


def test_an_encoder_that_samples_on_its_way_is_taken_at_the_mean(tmp_path):
    levels = Levels(Flavour.KERAS3)
    z1 = sampling_class(levels.keras)(name="draw_1")(levels.first)
    levels.keras.Model(levels.x, [*levels.first, z1, *levels.second(z1)]).save(tmp_path / "encoder.keras")
    levels.decoder().save(tmp_path / "decoder.keras")
    made = prepare(tmp_path / "made", tmp_path / "decoder.keras", tmp_path / "encoder.keras")
    for value, expected in zip(encoded(made).values(), levels.encoder()(X), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)
    assert inspect_models(made.models).vae.has_posterior


def test_an_encoder_that_takes_a_latent_is_taken_at_its_mean(tmp_path):
    levels = Levels(Flavour.KERAS3)
    z1 = levels.keras.Input((3,), name="z_1")
    levels.keras.Model([levels.x, z1], [*levels.first, *levels.second(z1)]).save(tmp_path / "encoder.keras")
    levels.keras.Model([levels.x, z1], levels.second(z1)).save(tmp_path / "second.keras")
    levels.decoder().save(tmp_path / "decoder.keras")
    made = prepare(tmp_path / "made", tmp_path / "decoder.keras", tmp_path / "encoder.keras")
    for value, expected in zip(encoded(made).values(), levels.encoder()(X), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)
    with pytest.raises(ExportError, match="takes the latent 'z_1', but does not return its mean, .*join the encoders"):
        prepare(tmp_path / "alone", tmp_path / "decoder.keras", tmp_path / "second.keras")


def test_the_front_half_stands_for_the_sample_of_moments_in_one(tmp_path):
    levels = Levels(Flavour.KERAS2)
    both = levels.keras.layers.Concatenate()(levels.first)
    draw = levels.keras.layers.Lambda(lambda given: given[:, :3] + 1, output_shape=(3,), name="sample_1")
    z2 = sampling_class(levels.keras)(name="sample_2")(levels.second(draw(both)))
    path = tmp_path / "whole.keras"
    # The decoder takes the second latent alone: a Markov chain.
    levels.keras.Model(levels.x, levels.keras.layers.Reshape((4, 4, 1))(levels.last(levels.joined(z2)))).save(path)
    made = prepare(tmp_path / "made", path, path)
    for value, expected in zip(encoded(made).values(), levels.encoder()(X)[2:], strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)
    assert "'sample_1' stands for its sample" in made.facts["posterior"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_noise_may_be_an_input_and_a_layer_that_only_adds_a_loss_is_passed(tmp_path, flavour):
    keras = import_flavour(flavour)
    layers = keras.layers

    class KLDivergenceLayer(layers.Layer):
        def call(self, inputs):
            return inputs[0], inputs[1]

    x, eps = keras.Input((16,), name="x"), keras.Input((2,), name="eps")
    hidden = layers.Dense(5, activation="relu")(x)
    moments = [layers.Dense(2)(hidden), layers.Dense(2)(hidden)]
    mean, log_var = KLDivergenceLayer()(moments)
    sigma = layers.Lambda(lambda given: given * 0.5, output_shape=(2,))(log_var)
    z = layers.Add()([mean, layers.Multiply()([sigma, eps])])
    last = layers.Dense(16, activation="sigmoid")
    keras.Model([x, eps], last(z)).save(tmp_path / "whole.keras")
    made = prepare(tmp_path / "made", tmp_path / "whole.keras", tmp_path / "whole.keras")
    data, latent = X.reshape(2, 16), np.ones((2, 2), np.float32)
    for value, expected in zip(
        open_model(made.models.encoder).call([data]), keras.Model(x, moments)(data), strict=True
    ):
        np.testing.assert_allclose(value, expected, atol=1e-6)
    np.testing.assert_allclose(open_model(made.models.decoder).call([latent])[0], last(latent), atol=1e-6)
    assert made.models.encoder_outputs == (Role.MEAN, Role.LOG_VAR)
    assert "was assumed to make a standard deviation of the log-variance" in made.doubts[0]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("scaled", "role", "raw"),
    [
        (lambda value: value * 0.5, Role.LOG_VAR, True),
        (lambda value: 0.5 * value, Role.LOG_VAR, True),
        (lambda value: value / 2.0, Role.LOG_VAR, True),
        (lambda value: value * 3.0, Role.LOG_STD, False),
        (lambda value: value / 0.5, Role.LOG_STD, False),
        (lambda value: 2.0 / value, Role.LOG_STD, False),
    ],
)
def test_only_half_of_a_tensor_is_taken_for_the_half_of_a_log_variance(tmp_path, flavour, scaled, role, raw):
    keras = import_flavour(flavour)
    layers = keras.layers
    exp = keras.ops.exp if flavour is Flavour.KERAS3 else import_tensorflow().exp
    x, eps = keras.Input((16,), name="x"), keras.Input((2,), name="eps")
    mean, spread = layers.Dense(2)(x), layers.Dense(2, activation="softplus")(x)
    log_scale = scaled(spread)
    z = mean + exp(log_scale) * eps
    keras.Model([x, eps], layers.Dense(16, activation="sigmoid")(z)).save(tmp_path / "whole.keras")
    made = prepare(tmp_path / "made", tmp_path / "whole.keras", tmp_path / "whole.keras")
    assert made.models.encoder_outputs == (Role.MEAN, role)
    data = X.reshape(2, 16)
    expected = keras.Model(x, spread if raw else log_scale)(data)
    np.testing.assert_allclose(open_model(made.models.encoder).call([data])[1], expected, rtol=1e-5)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("is_dense", [True, False])
def test_an_exponential_that_ends_a_layer_with_weights_is_the_scale(tmp_path, flavour, is_dense):
    keras = import_flavour(flavour)
    layers = keras.layers
    x, eps = keras.Input((16,), name="x"), keras.Input((2,), name="eps")
    raw = layers.Dense(2, activation="exponential" if is_dense else None)(x)
    scale = raw if is_dense else layers.Activation("exponential")(raw)
    z = layers.Dense(2)(x) + scale * eps
    keras.Model([x, eps], layers.Dense(16, activation="sigmoid")(z)).save(tmp_path / "whole.keras")
    made = prepare(tmp_path / "made", tmp_path / "whole.keras", tmp_path / "whole.keras")
    assert made.models.encoder_outputs == (Role.MEAN, Role.STD if is_dense else Role.LOG_STD)
    data = X.reshape(2, 16)
    np.testing.assert_allclose(open_model(made.models.encoder).call([data])[1], keras.Model(x, raw)(data), rtol=1e-5)
