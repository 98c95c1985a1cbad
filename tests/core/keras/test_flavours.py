"""What the two Kerases read of each other's files without an error means the same, or the table names it."""

import numpy as np
import pytest

from pocketvae.keras.files import read_header
from pocketvae.keras.flavours import DIFFERENT, differs_between_flavours
from pocketvae.keras.io import import_flavour
from pocketvae.keras.model_form import Flavour

ACTIVATIONS = (
    *("elu", "exponential", "gelu", "hard_sigmoid", "linear", "mish", "relu"),
    *("selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh"),
)
X = np.linspace(-4, 4, 24, dtype=np.float32).reshape(1, 4, 6)


def layers(keras):
    named = keras.layers
    return {
        **{name: lambda name=name: named.Activation(name) for name in ACTIVATIONS},
        "LeakyReLU": named.LeakyReLU,
        "LayerNormalization": named.LayerNormalization,
        "UnitNormalization": named.UnitNormalization,
        "UpSampling1D": named.UpSampling1D,
        "AveragePooling1D": lambda: named.AveragePooling1D(3, 2, padding="same"),
        "Rescaling": lambda: named.Rescaling(2.0, 1.0),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("writer", "reader", "read", "expected"),
    # Keras 2 does not know the inputs that Keras 3 writes, and so reads nothing of it.
    [("keras2", "keras3", 20, {"hard_sigmoid"}), ("keras3", "keras2", 0, set())],
)
def test_what_both_read_means_the_same(tmp_path, writer, reader, read, expected):
    ours, theirs = import_flavour(Flavour(writer)), import_flavour(Flavour(reader))
    compared, different = [], set()
    for name, make in layers(ours).items():
        model = ours.Sequential([ours.Input(X.shape[1:]), make()])
        path = tmp_path / f"{name}.h5"
        model.save(path)
        try:
            other = theirs.models.load_model(path, compile=False)
        except Exception:  # a layer that the other does not know fails, which is what may happen
            continue
        compared.append(name)
        if not np.allclose(model(X), other(X), atol=1e-5):
            different.add(name)
    assert len(compared) == read, compared
    assert different == expected <= DIFFERENT
    assert read_header(tmp_path / "hard_sigmoid.h5").flavours == (Flavour(writer),)
    assert len(read_header(tmp_path / "sigmoid.h5").flavours) == 2


def test_names_are_found_wherever_they_are():
    assert differs_between_flavours({"layers": [{"config": {"recurrent_activation": "hard_sigmoid"}}]})
    assert differs_between_flavours([{"class_name": "HardSigmoid"}])
    assert not differs_between_flavours({"activation": "sigmoid"})
