"""Outputs of SavedModels that only have a number get the names of their layers."""

import numpy as np
import pytest

from pocketvae.keras.external import load_original
from pocketvae.keras.io import import_flavour
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Flavour, ModelForm, Port, Role
from pocketvae.keras.signature_names import layer_of, names_by_layer


@pytest.mark.parametrize(
    ("operator", "layer"),
    [
        ("encoder_1/z_mean_1/BiasAdd", "z_mean"),
        ("StatefulPartitionedCall/vae_1/encoder_1/z_log_var_1/BiasAdd", "z_log_var"),
        ("decoder_1/log_var_1/batchnorm/add_1", "log_var"),
        ("sequential_1/dense_3_1/Sigmoid", "dense_3"),
        ("model/z_mean/BiasAdd", "z_mean"),
        ("StatefulPartitionedCall/add", ""),
        ("", ""),
    ],
)
def test_the_layer_of_an_operator_is_its_scope_without_the_number_of_keras_3(operator, layer):
    assert layer_of(operator) == layer


def test_names_of_ones_own_stay_and_no_two_outputs_get_the_same():
    assert names_by_layer({"image": "d_1/picture_1/Add", "output_0": "d_1/std_1/Exp"}) == {
        "image": "image",
        "output_0": "std",
    }
    twice = {"output_0": "d_1/head_1/Add", "output_1": "d_1/head_1/Mul", "output_2": "d_1/noise_1/Exp"}
    assert names_by_layer(twice) == {"output_0": "output_0", "output_1": "output_1", "output_2": "noise"}
    assert names_by_layer({"noise": "d_1/a_1/Add", "output_0": "d_1/noise_1/Exp"})["output_0"] == "output_0"


@pytest.mark.slow
def test_keras_3_exports_are_read_with_the_names_of_their_layers(tmp_path):
    keras = import_flavour(Flavour.KERAS3)
    x = keras.Input((3,), name="x")
    hidden = keras.layers.Dense(4, name="hidden")(x)
    made = [keras.layers.Dense(2, name=name)(hidden) for name in ("z_mean", "z_log_var")]
    encoder = keras.Model(x, made, name="encoder")
    encoder.export(str(tmp_path / "m"), verbose=False)
    opened = open_model(tmp_path / "m")
    assert [(tensor.name, tensor.key) for tensor in opened.outputs] == [
        ("z_mean", "output_0"),
        ("z_log_var", "output_1"),
    ]
    given = np.ones((4, 3), np.float32)
    # Bundles of older versions have the numbers.
    for names in (["z_mean", "z_log_var"], ["output_0", "output_1"]):
        outputs = tuple(
            Port(name=name, role=role, dtype="float32", shape=(2,))
            for name, role in zip(names, (Role.MEAN, Role.LOG_VAR), strict=True)
        )
        taken = (Port(name="x", role=Role.X, dtype="float32", shape=(3,)),)
        form = ModelForm(flavour=Flavour.SAVED_MODEL, inputs=taken, outputs=outputs)
        for value, wanted in zip(load_original(tmp_path / "m", form)(given), encoder(given), strict=True):
            np.testing.assert_allclose(value, wanted, atol=1e-6)
