"""Parts that a SavedModel holds as attributes: found by what they take and return, names break ties."""

import numpy as np
import pytest
import tensorflow as tf

from pocketvae.errors import ExportError
from pocketvae.export.external.messages import ExternalModels, PreparationRequest
from pocketvae.export.external.preparation import prepare_models
from pocketvae.keras.io import import_flavour
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Flavour, Role
from tests.export.external.saved_vaes import X
from tests.export.external.test_saved_whole import parts_of, subclassed

pytestmark = pytest.mark.slow
Z = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)


def prepare(folder):
    (folder / "parts").mkdir()
    models = ExternalModels(decoder=folder / "vae", encoder=folder / "vae")
    return prepare_models(PreparationRequest(models=models, folder=str(folder / "parts")))


def test_a_keras_2_vae_that_was_never_called_holds_its_parts(tmp_path):
    keras = import_flavour(Flavour.KERAS2)
    encoder, decoder = parts_of(keras)
    tf.saved_model.save(subclassed(keras)(encoder, decoder), str(tmp_path / "vae"))
    found = prepare(tmp_path)
    assert found.models.encoder_outputs == (Role.LOG_VAR, Role.MEAN)
    spread, mean = open_model(found.models.encoder).call([X])
    np.testing.assert_allclose(mean, encoder(X)[0], atol=1e-6)
    np.testing.assert_allclose(spread, encoder(X)[1], atol=1e-6)
    np.testing.assert_allclose(open_model(found.models.decoder).call([Z])[0], decoder(Z), atol=1e-6)


def plain(keras, other=False):
    """Returns an autoencoder without a sampling; its class may hold another decoder that is not used."""
    encoder, decoder = parts_of(keras)

    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.second = parts_of(keras)[1] if other else None
            self.first = keras.Model(encoder.inputs, encoder.outputs[0])
            self.third = decoder

        def call(self, x):
            return self.third(self.first(x))

    return Plain()


@pytest.mark.parametrize("other", [False, True])
def test_of_several_that_fit_the_whole_says_which_is_its_own(tmp_path, other):
    model = plain(import_flavour(Flavour.KERAS2), other)
    wanted = model(X)
    if other:
        model.second(Z)
    model.save(str(tmp_path / "vae"), save_format="tf")
    found = prepare(tmp_path)
    (code,) = open_model(found.models.encoder).call([X])
    np.testing.assert_allclose(open_model(found.models.decoder).call([code])[0], wanted, atol=1e-6)
    assert "[first] -> z_mean [3]; input_" in found.found[0]
    assert found.found[0].endswith(" [3] -> [third] -> [4, 4, 1]")


def test_parts_that_cannot_be_told_apart_are_refused_by_name(tmp_path):
    class Two(tf.Module):
        def __init__(self):
            super().__init__()
            grow, shrink = tf.ones((3, 16)), tf.ones((16, 3))
            images, codes = tf.TensorSpec((None, 4, 4, 1)), tf.TensorSpec((None, 3))
            self.a = tf.function(lambda x: tf.reshape(x, (-1, 16)) @ shrink, input_signature=[images])
            self.b = tf.function(lambda z: tf.reshape(z @ grow, (-1, 4, 4, 1)), input_signature=[codes])
            self.c = tf.function(lambda z: tf.reshape(2 * z @ grow, (-1, 4, 4, 1)), input_signature=[codes])

    tf.saved_model.save(Two(), str(tmp_path / "vae"))
    with pytest.raises(ExportError, match=r"cannot be told apart \(a and b, a and c would all fit\): save each"):
        prepare(tmp_path)
