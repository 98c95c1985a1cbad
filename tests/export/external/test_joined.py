"""Decoders whose one output holds the data and their log-variance."""

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.export.external.inspection import inspect_models
from pocketvae.export.external.joined import joined_doubt, with_halves
from pocketvae.export.external.messages import ExternalModels
from pocketvae.keras.external import load_original
from pocketvae.keras.io import import_flavour, import_tensorflow
from pocketvae.keras.loading import OpenModel, Tensor
from pocketvae.keras.model_form import Flavour, Role
from pocketvae.outputs import Meaning
from pocketvae.spec import Component
from pocketvae.vae_spec import DataKind

ORDERS = {Role.MEAN_LOG_VAR: (slice(None, 3), slice(3, None)), Role.LOG_VAR_MEAN: (slice(3, None), slice(None, 3))}


def saved(folder, flavour, *, channels=6, last=None):
    keras = import_flavour(flavour)
    z = keras.Input((4,), name="z")
    hidden = keras.layers.Reshape((8, 8, 2))(keras.layers.Dense(128, activation="relu")(z))
    model = keras.Model(z, keras.layers.Conv2D(channels, 3, padding="same", activation=last)(hidden))
    model.save(str(folder / "decoder.keras"))
    return folder / "decoder.keras", model


def check(models, original, order):
    """Compares the adapted decoder with the two halves of the original's output."""
    found = inspect_models(models)
    assert found.vae.data_shape == (8, 8, 3)
    assert [(item.name, item.shape, item.meaning) for item in found.vae.more_outputs] == [
        ("log_var", (8, 8, 3), Meaning.LOG_VAR)
    ]
    z = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    returned = load_original(models.decoder, found.forms[Component.DECODER])(z)
    whole = np.asarray(original(z))
    for value, half in zip(returned, ORDERS[order], strict=True):
        np.testing.assert_allclose(value, whole[..., half], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flavour", "order"), [(Flavour.KERAS2, Role.MEAN_LOG_VAR), (Flavour.KERAS3, Role.LOG_VAR_MEAN)]
)
def test_a_decoder_returns_the_halves_of_its_output(tmp_path, flavour, order):
    decoder, original = saved(tmp_path, flavour)
    check(ExternalModels(decoder=decoder, joined_outputs=order), original, order)


@pytest.mark.slow
def test_so_does_a_saved_model(tmp_path):
    tf = import_tensorflow()
    _, original = saved(tmp_path, Flavour.KERAS2)
    tf.saved_model.save(original, str(tmp_path / "saved"))
    models = ExternalModels(decoder=tmp_path / "saved", joined_outputs=Role.MEAN_LOG_VAR)
    check(models, original, Role.MEAN_LOG_VAR)


@pytest.mark.slow
def test_an_encoder_of_half_the_channels_names_the_option(tmp_path):
    decoder, _ = saved(tmp_path, Flavour.KERAS3)
    keras = import_flavour(Flavour.KERAS3)
    x = keras.Input((8, 8, 3), name="x")
    flat = keras.layers.Flatten()(x)
    encoder = keras.Model(x, [keras.layers.Dense(4, name=name)(flat) for name in ("z_mean", "z_log_var")])
    encoder.save(str(tmp_path / "encoder.keras"))
    given = {"decoder": decoder, "encoder": tmp_path / "encoder.keras"}
    with pytest.raises(ExportError, match=r"got \(8, 8, 3\): if they are a mean and its log-variance, .*mean\+log_var"):
        inspect_models(ExternalModels(**given))
    found = inspect_models(ExternalModels(**given, joined_outputs=Role.MEAN_LOG_VAR))
    assert set(found.forms) == {Component.DECODER, Component.ENCODER}


@pytest.mark.slow
def test_both_halves_are_exported(tmp_path):
    decoder, _ = saved(tmp_path, Flavour.KERAS3)
    with pytest.raises(ExportError, match="--joined-outputs exports both halves"):
        inspect_models(ExternalModels(decoder=decoder, joined_outputs=Role.MEAN_LOG_VAR, more_outputs=()))


def opened(*shapes):
    outputs = tuple(Tensor(name=f"y{place}", dtype="float32", shape=shape) for place, shape in enumerate(shapes))
    return OpenModel(
        flavour=Flavour.KERAS3, keras_version="", model=None, inputs=(), outputs=outputs, call=lambda values: values
    )


def test_halves_are_slices_of_the_last_axis():
    halves = with_halves(opened((None, 2, 6)), Role.LOG_VAR_MEAN)
    assert [(item.name, item.shape) for item in halves.outputs] == [("log_var", (None, 2, 3)), ("mean", (None, 2, 3))]
    first, second = halves.call([np.arange(12).reshape(1, 2, 6)])
    assert (first.tolist(), second.tolist()) == ([[[0, 1, 2], [6, 7, 8]]], [[[3, 4, 5], [9, 10, 11]]])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([(None, 5)], "an even width, got 5 in 'y0'"), ([(None, 4), (None, 4)], "of one output, but this one has y0, y1")],
)
def test_what_has_no_halves_is_refused(shapes, message):
    with pytest.raises(ExportError, match=message):
        with_halves(opened(*shapes), Role.MEAN_LOG_VAR)


def test_unbounded_images_of_two_or_six_channels_are_doubted_unless_the_order_is_stated():
    def doubt(role=None, channels=2, is_bounded=False):
        return joined_doubt(role, DataKind.IMAGE, (8, 8, channels), is_bounded)

    assert "the decoder's images have 2 channels" in doubt()
    assert "6 channels" in doubt(channels=6)
    assert not any([doubt(Role.MEAN_LOG_VAR), doubt(channels=3), doubt(is_bounded=True)])
