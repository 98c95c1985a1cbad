"""Encoders that take pixels of 0 to 255, told by their first operators, are given the images of their decoders."""

import numpy as np
import pytest

from pocketvae.export.external.inspection import inspect_models
from pocketvae.export.external.messages import ExternalModels
from pocketvae.keras.external import adapt
from pocketvae.keras.io import import_flavour, import_tensorflow
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Flavour
from pocketvae.spec import Component
from tests.onnx_files import model, node, save

pytestmark = pytest.mark.slow
PIXELS = np.arange(0, 256, 16, dtype=np.float32).reshape(1, 4, 4, 1)
FLAVOURS = (Flavour.KERAS2, Flavour.KERAS3)


def models_of(flavour, front, last):
    keras = import_flavour(flavour)
    layers = keras.layers
    z, x = keras.Input((3,), name="z"), keras.Input((4, 4, 1), name="x")
    decoder = keras.Model(z, layers.Reshape((4, 4, 1))(last(layers.Dense(16)(z), keras)))
    flat = layers.Flatten()(front(x))
    encoder = keras.Model(x, [layers.Dense(3, name="z_mean")(flat), layers.Dense(3, name="z_log_var")(flat)])
    return decoder, encoder


def sigmoid(values, keras):
    return keras.layers.Activation("sigmoid")(values)


def clipped(values, keras):
    return (
        keras.ops.clip(values, 0.0, 1.0) if hasattr(keras, "ops") else import_tensorflow().clip_by_value(values, 0, 1)
    )


def tanh(values, keras):
    return keras.layers.Activation("tanh")(values)


def decibels(values, keras):
    return keras.layers.Rescaling(80.0, -80.0)(sigmoid(values, keras))


def inspected(decoder, encoder):
    models = ExternalModels(decoder=decoder, encoder=encoder)
    found = inspect_models(models)
    opened = open_model(encoder)
    return found, adapt(opened, found.forms[Component.ENCODER])


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("front", "last", "limits"),
    [
        (lambda x: x / 255.0, sigmoid, (0, 1)),
        (lambda x: x * (1 / 255), clipped, (0, 1)),
        (lambda x: (x - 127.5) / 127.5, tanh, (-1, 1)),
        (lambda x: 1.0 - x / 255.0, sigmoid, (0, 1)),
        (lambda x: (x / 255.0 - 0.5) / 0.25, sigmoid, (0, 1)),
    ],
)
def test_images_are_scaled_to_the_pixels_that_an_encoder_divides(tmp_path, flavour, front, last, limits):
    decoder, encoder = models_of(flavour, front, last)
    decoder.save(tmp_path / "decoder.keras")
    encoder.save(tmp_path / "encoder.keras")
    found, adapted = inspected(tmp_path / "decoder.keras", tmp_path / "encoder.keras")
    images = np.float32(limits[0]) + (limits[1] - limits[0]) * PIXELS / np.float32(255)
    for ours, theirs in zip(adapted(images), encoder(PIXELS), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    change = f"with images in [{limits[0]}, {limits[1]}] like the decoder's, scaled to its pixels of 0 to 255"
    assert found.facts["encoder input"] == change
    assert found.found == (f"encoder.keras: {change}",)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("front", "last"),
    [
        (lambda x: x * 2.0 - 1.0, sigmoid),
        (lambda x: x / 80.0 + 1.0, decibels),
        (lambda x: (x + 40.0) / 25.0, decibels),
        (lambda x: x, tanh),
        # Far from anything that is known.
        (lambda x: x * 1e-6, sigmoid),
    ],
)
def test_encoders_of_what_their_decoders_return_are_left_alone(tmp_path, flavour, front, last):
    decoder, encoder = models_of(flavour, front, last)
    decoder.save(tmp_path / "decoder.keras")
    encoder.save(tmp_path / "encoder.keras")
    found, _ = inspected(tmp_path / "decoder.keras", tmp_path / "encoder.keras")
    assert not any(port.is_scaled for port in found.forms[Component.ENCODER].inputs)
    assert "encoder input" not in found.facts


def test_saved_models_are_looked_into_as_well(tmp_path):
    decoder, encoder = models_of(Flavour.KERAS3, lambda x: x / 255.0, sigmoid)
    decoder.export(tmp_path / "decoder", verbose=False)
    encoder.export(tmp_path / "encoder", verbose=False)
    _, adapted = inspected(tmp_path / "decoder", tmp_path / "encoder")
    for ours, theirs in zip(adapted(PIXELS / np.float32(255)), encoder(PIXELS), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_so_are_onnx_files(tmp_path):
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(16, 3)).astype(np.float32) for name in ("w_mean", "w_log_var")}
    encoder = model(
        [
            node("Div", "x by", "scaled"),
            node("Flatten", "scaled", "flat"),
            node("MatMul", "flat w_mean", "z_mean"),
            node("MatMul", "flat w_log_var", "z_log_var"),
        ],
        {"x": ["N", 4, 4, 1]},
        {"z_mean": ["N", 3], "z_log_var": ["N", 3]},
        {"by": np.float32(255.0), **weights},
    )
    decoder = model(
        [
            node("MatMul", "z w", "flat"),
            node("Sigmoid", "flat", "squashed"),
            node("Reshape", "squashed sizes", "image"),
        ],
        {"z": ["N", 3]},
        {"image": ["N", 4, 4, 1]},
        {"w": rng.normal(size=(3, 16)).astype(np.float32), "sizes": np.array([-1, 4, 4, 1])},
    )
    paths = [save(made, tmp_path / f"{name}.onnx") for name, made in (("decoder", decoder), ("encoder", encoder))]
    _, adapted = inspected(*paths)
    mean, log_var = adapted(PIXELS / np.float32(255))
    np.testing.assert_allclose(mean, PIXELS.reshape(1, 16) / 255 @ weights["w_mean"], atol=1e-4)
    np.testing.assert_allclose(log_var, PIXELS.reshape(1, 16) / 255 @ weights["w_log_var"], atol=1e-4)
