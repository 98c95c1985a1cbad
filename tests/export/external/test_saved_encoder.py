"""Encoders that are SavedModels with a sampling: what they draw is left out."""

import numpy as np
import pytest
import tensorflow as tf

from pocketvae.export.external.inspection import inspect_models
from pocketvae.export.external.messages import ExternalModels, PreparationRequest
from pocketvae.export.external.needs import needs_preparation
from pocketvae.export.external.preparation import prepare_models
from pocketvae.export.external.saved_encoder import without_sampling
from pocketvae.keras.custom_code import NO_CUSTOM_CODE
from pocketvae.keras.io import import_flavour
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Flavour, Role
from pocketvae.spec import Component
from tests.export.external.saved_vaes import X
from tests.export.external.test_saved_whole import parts_of, save

pytestmark = pytest.mark.slow
MOMENTS = (Role.MEAN, Role.LOG_VAR)


@pytest.mark.parametrize("flavour", [Flavour.KERAS2, Flavour.KERAS3])
def test_an_encoder_is_exported_without_what_it_draws(tmp_path, flavour):
    encoder, decoder = parts_of(import_flavour(flavour))
    for name, model in (("encoder", encoder), ("decoder", decoder)):
        save(model, tmp_path / name, flavour)
    for place, stated in enumerate((None, (*MOMENTS, Role.SAMPLE), MOMENTS)):
        models = ExternalModels(decoder=tmp_path / "decoder", encoder=tmp_path / "encoder", encoder_outputs=stated)
        assert needs_preparation(models)
        folder = tmp_path / f"parts{place}"
        folder.mkdir()
        found = prepare_models(PreparationRequest(models=models, folder=str(folder)))
        assert found.found == ("encoder: without its sampling",)
        roles = [port.role for port in inspect_models(found.models).forms[Component.ENCODER].outputs]
        opened = open_model(found.models.encoder)
        made = dict(zip(roles, opened.call([X]), strict=True))
        for role, wanted in zip(MOMENTS, encoder(X), strict=False):
            np.testing.assert_allclose(made[role], wanted, atol=1e-6)


class Truncated(tf.Module):
    """Draws in a way that is not known, from a mean and a variance."""

    @tf.function(input_signature=[tf.TensorSpec((None, 3), name="x")])
    def __call__(self, x):
        variance = tf.exp(x)
        return {"a": x + tf.sqrt(variance) * tf.random.truncated_normal(tf.shape(x)), "b": 2 * x, "c": variance}


def test_what_is_drawn_in_an_unknown_way_is_left_out_of_what_the_user_states(tmp_path):
    model = Truncated()
    tf.saved_model.save(model, str(tmp_path / "encoder"), signatures=model.__call__)
    stated = (Role.SAMPLE, Role.MEAN, Role.VAR)
    (tmp_path / "part").mkdir()
    path, roles = without_sampling(tmp_path / "encoder", NO_CUSTOM_CODE, "", stated, tmp_path / "part")
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    assert roles == (Role.MEAN, Role.VAR)
    for value, wanted in zip(open_model(path).call([x]), (2 * x, np.exp(x)), strict=True):
        np.testing.assert_allclose(value, wanted, atol=1e-6)


def test_an_encoder_that_draws_nothing_stays(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    encoder, decoder = parts_of(keras)
    save(keras.Model(encoder.inputs, encoder.outputs[:2]), tmp_path / "encoder", Flavour.KERAS3)
    save(decoder, tmp_path / "decoder", Flavour.KERAS3)
    assert not needs_preparation(ExternalModels(decoder=tmp_path / "decoder", encoder=tmp_path / "encoder"))
