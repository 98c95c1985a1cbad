"""Whole VAEs that are SavedModels: of Keras 2 and 3, subclassed and functional, with a sampling that draws."""

import numpy as np
import pytest
import tensorflow as tf

from pocketvae.errors import ExportError
from pocketvae.export.external.inspection import inspect_models
from pocketvae.export.external.messages import ExternalModels, PreparationRequest
from pocketvae.export.external.preparation import prepare_models
from pocketvae.keras.io import import_flavour
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Flavour, Role
from tests.export.external.saved_vaes import X, write

pytestmark = pytest.mark.slow


def sampling_of(keras):
    class Draw(keras.layers.Layer):
        def __init__(self, **given):
            super().__init__(**given)
            if keras.__name__.startswith("keras"):
                self.seed = keras.random.SeedGenerator(3)

        def call(self, inputs):
            mean, log_var = inputs
            if hasattr(self, "seed"):
                return mean + keras.ops.exp(0.5 * log_var) * keras.random.normal(keras.ops.shape(mean), seed=self.seed)
            return mean + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(mean))

    return Draw()


def parts_of(keras):
    x, z = keras.Input((4, 4, 1)), keras.Input((3,))
    hidden = keras.layers.Dense(5, activation="relu")(keras.layers.Flatten()(x))
    moments = [keras.layers.Dense(3, name=name)(hidden) for name in ("z_mean", "z_log_var")]
    encoder = keras.Model(x, [*moments, sampling_of(keras)(moments)], name="encoder")
    pixels = keras.layers.Dense(16, activation="sigmoid")(keras.layers.Dense(5, activation="relu")(z))
    return encoder, keras.Model(z, keras.layers.Reshape((4, 4, 1))(pixels), name="decoder")


def subclassed(keras):
    class Vae(keras.Model):
        def __init__(self, encoder, decoder):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder

        def call(self, x):
            return self.decoder(self.encoder(x)[-1])

    return Vae


def save(model, path, flavour):
    if flavour is Flavour.KERAS2:
        model.save(str(path), save_format="tf")
    else:
        model.export(str(path), verbose=False)


def prepare(folder, path, **given):
    folder.mkdir(exist_ok=True)
    models = ExternalModels(decoder=path, encoder=path, **given)
    return prepare_models(PreparationRequest(models=models, folder=str(folder)))


@pytest.mark.parametrize("flavour", [Flavour.KERAS2, Flavour.KERAS3])
@pytest.mark.parametrize("kind", ["subclassed", "functional"])
def test_a_saved_vae_is_cut_where_it_draws(tmp_path, flavour, kind):
    keras = import_flavour(flavour)
    encoder, decoder = parts_of(keras)
    if kind == "subclassed":
        whole = subclassed(keras)(encoder, decoder)
        whole(X)
    else:
        x = keras.Input((4, 4, 1))
        whole = keras.Model(x, decoder(encoder(x)[2]))
    save(whole, tmp_path / "vae", flavour)
    found = prepare(tmp_path / "parts", tmp_path / "vae")
    (line,) = found.found
    assert "[4, 4, 1] -> [encoder] -> z_mean [3], z_log_var [3] -> sampling (left out) -> z [3] -> [decoder]" in line
    spread, mean = open_model(found.models.encoder).call([X])
    np.testing.assert_allclose(mean, encoder(X)[0], atol=1e-6)
    np.testing.assert_allclose(spread, encoder(X)[1], atol=1e-6)
    z = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(open_model(found.models.decoder).call([z])[0], decoder(z), atol=1e-6)
    inspection = inspect_models(found.models)
    assert inspection.vae.latents[0].shape == (3,)
    assert inspection.vae.data_shape == (4, 4, 1)


def test_roles_that_the_user_states_are_kept(tmp_path):
    write(tmp_path / "vae", step="std")
    assert prepare(tmp_path / "a", tmp_path / "vae").models.encoder_outputs == (Role.MEAN, Role.STD)
    stated = (Role.MEAN, Role.VAR)
    assert prepare(tmp_path / "b", tmp_path / "vae", encoder_outputs=stated).models.encoder_outputs == stated
    # A log-variance comes first in the part, since it does so by name.
    write(tmp_path / "other", step="log_var")
    for place, stated in enumerate([(Role.MEAN, Role.LOG_VAR), (Role.MEAN, Role.LOG_VAR, Role.SAMPLE)]):
        found = prepare(tmp_path / f"c{place}", tmp_path / "other", encoder_outputs=stated)
        assert found.models.encoder_outputs == (Role.LOG_VAR, Role.MEAN)


def test_options_about_layers_are_refused(tmp_path):
    write(tmp_path / "vae")
    with pytest.raises(ExportError, match="--latent-layer and --decoder-part are for files of Keras"):
        prepare(tmp_path, tmp_path / "vae", latent_layer="z")
