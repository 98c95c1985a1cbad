"""User-supplied models are called like their component, whatever structure they return."""

import numpy as np
import pytest

from pocketvae.keras.external import load_original
from pocketvae.keras.io import import_flavour
from pocketvae.keras.model_form import Flavour, ModelForm, Port, Role

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("flavour", [Flavour.KERAS2, Flavour.KERAS3])
@pytest.mark.parametrize("names", [{"image": Role.IMAGE}, {"a_mean": Role.MEAN, "b_log_var": Role.LOG_VAR}])
def test_outputs_in_a_dict_are_a_list(tmp_path, flavour, names):
    keras = import_flavour(flavour)
    x = keras.Input((3,), name="x")
    layers = {name: keras.layers.Dense(2) for name in names}
    keras.Model(x, {name: layer(x) for name, layer in layers.items()}).save(tmp_path / "m.keras")
    form = ModelForm(
        flavour=flavour,
        custom_code=False,
        inputs=(Port(name="x", role=Role.X, dtype="float32", shape=(3,)),),
        outputs=tuple(Port(name=name, role=role, dtype="float32", shape=(2,)) for name, role in names.items()),
    )
    given = np.ones((4, 3), np.float32)
    found = load_original(tmp_path / "m.keras", form)(given, training=False)
    for value, layer in zip(found if len(names) > 1 else [found], layers.values(), strict=True):
        np.testing.assert_allclose(value, layer(given), atol=1e-6)
