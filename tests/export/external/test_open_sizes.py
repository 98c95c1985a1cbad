"""Models that leave their sizes open: the message names an option, and the option exports them."""

import re

import numpy as np
import pytest

from pocketvae.errors import ExportError, SpecError
from pocketvae.export.external.inspection import inspect_models
from pocketvae.export.external.messages import ExternalModels, PreparationRequest
from pocketvae.export.external.needs import needs_preparation
from pocketvae.export.external.preparation import prepare_models
from pocketvae.keras.external import load_original
from pocketvae.keras.io import import_flavour, import_tensorflow
from pocketvae.keras.model_form import Flavour, Role
from pocketvae.spec import Component
from pocketvae.vae_spec import Latent

pytestmark = pytest.mark.slow
FLAVOURS = (Flavour.KERAS2, Flavour.KERAS3)
OPEN_DATA, OPEN_LATENT = (None, None, 3), (None, None, 2)


def decoded(keras, z):
    hidden = keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(z)
    return keras.layers.Conv2D(3, 3, padding="same", activation="sigmoid")(hidden)


def encoded(keras, x):
    hidden = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    return [keras.layers.Conv2D(2, 1, name=name)(hidden) for name in ("z_mean", "z_log_var")]


def write_pair(keras, folder):
    z, x = keras.Input(OPEN_LATENT, name="z"), keras.Input(OPEN_DATA, name="x")
    decoder, encoder = keras.Model(z, decoded(keras, z)), keras.Model(x, encoded(keras, x))
    paths = folder / "decoder.keras", folder / "encoder.keras"
    decoder.save(str(paths[0]))
    encoder.save(str(paths[1]))
    return paths, decoder


def write_whole(keras, folder):
    """A VAE without nesting, whose sampling layer is a class of its own."""

    class Sampling(keras.layers.Layer):
        def call(self, inputs):
            return inputs[0] + 0.0 * inputs[1]

    x = keras.Input(OPEN_DATA, name="x")
    keras.Model(x, decoded(keras, Sampling(name="z")(encoded(keras, x)))).save(str(folder / "vae.keras"))
    return folder / "vae.keras"


def inspect(folder, **given):
    models = ExternalModels(**given)
    if needs_preparation(models):
        models = prepare_models(PreparationRequest(models=models, folder=str(folder))).models
    return inspect_models(models), models


def suggested(error):
    """The value that a message suggests for --latent-shape."""
    (text,) = re.findall(r"--latent-shape ([\d,]+)", str(error))
    return tuple(map(int, text.split(",")))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_option_that_the_message_names_gives_a_pair_its_sizes(tmp_path, flavour):
    (decoder, encoder), original = write_pair(import_flavour(flavour), tmp_path)
    with pytest.raises(ExportError, match=r"the decoder's input must have fixed sizes, got z \[\?, \?, \?, 2\]") as e:
        inspect(tmp_path, decoder=decoder, encoder=encoder)
    assert suggested(e.value) == (32, 32, 2)
    found, models = inspect(tmp_path, decoder=decoder, encoder=encoder, latent_shape=(5, 3, 2))
    assert found.vae.latents == (Latent(shape=(5, 3, 2)),)
    assert found.vae.data_shape == (10, 6, 3)
    parts = {part: load_original(path, found.forms[part], models.code) for part, path in models.paths.items()}
    z = np.random.default_rng(0).normal(size=(2, 5, 3, 2)).astype(np.float32)
    image = parts[Component.DECODER](z)
    np.testing.assert_allclose(image, original(z), atol=1e-6)
    assert [tuple(value.shape) for value in parts[Component.ENCODER](image)] == [(2, 5, 3, 2)] * 2


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_gives_a_whole_vae_its_sizes(tmp_path, flavour):
    whole = write_whole(import_flavour(flavour), tmp_path)
    with pytest.raises(ExportError, match="must have fixed sizes") as e:
        inspect(tmp_path, decoder=whole, encoder=whole)
    found, _ = inspect(tmp_path, decoder=whole, encoder=whole, latent_shape=suggested(e.value))
    assert (found.vae.latents, found.vae.data_shape) == ((Latent(shape=(32, 32, 2)),), (64, 64, 3))
    assert found.forms[Component.ENCODER].inputs[0].shape == (64, 64, 3)


def test_it_gives_a_saved_model_its_sizes(tmp_path):
    tf = import_tensorflow()
    module = tf.Module()
    module.kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 2, 3)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, *OPEN_LATENT), tf.float32, name="z")])
    def decode(z):
        return {"image": tf.sigmoid(tf.nn.conv2d(z, module.kernel, 1, "SAME"))}

    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": decode})
    found, _ = inspect(tmp_path, decoder=tmp_path / "saved", latent_shape=(4, 6, 2))
    assert (found.vae.latents[0].shape, found.vae.data_shape) == ((4, 6, 2), (4, 6, 3))


def test_planes_of_labels_have_the_sizes_of_the_latent(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    z, label = keras.Input(OPEN_LATENT, name="z"), keras.Input((None, None, 5), name="label")
    joined = keras.layers.Concatenate()([z, label])
    keras.Model([z, label], decoded(keras, joined)).save(str(tmp_path / "d.keras"))
    found, _ = inspect(
        tmp_path, decoder=tmp_path / "d.keras", latent_shape=(4, 4, 2), decoder_inputs=(Role.Z, Role.LABEL)
    )
    assert [port.shape for port in found.forms[Component.DECODER].inputs] == [(4, 4, 2), (4, 4, 5)]
    assert found.vae.conditions[0].count == 5


@pytest.mark.parametrize("stated", [(4, 4, 3), (4, 4), (16,)])
def test_sizes_that_do_not_fit_are_refused(tmp_path, stated):
    (decoder, _), _ = write_pair(import_flavour(Flavour.KERAS3), tmp_path)
    text = ",".join(map(str, stated))
    with pytest.raises(ExportError, match=rf"--latent-shape {text} does not fit the decoder, which takes z \[\?, \?"):
        inspect(tmp_path, decoder=decoder, latent_shape=stated)


def test_sizes_that_the_layers_cannot_take_are_refused(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    z = keras.Input(OPEN_LATENT, name="z")
    halved = keras.layers.UpSampling2D(2)(keras.layers.AveragePooling2D(2)(z))
    keras.Model(z, decoded(keras, keras.layers.Add()([z, halved]))).save(str(tmp_path / "d.keras"))
    with pytest.raises(ExportError, match="the decoder does not take 3,3,2: "):
        inspect(tmp_path, decoder=tmp_path / "d.keras", latent_shape=(3, 3, 2))


def test_sizes_are_positive():
    with pytest.raises(SpecError, match="--latent-shape must be positive, got"):
        ExternalModels(decoder="d.keras", latent_shape=(4, 0, 2))
