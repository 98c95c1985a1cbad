"""The first layers of a graph, as a graph of their own."""

import numpy as np
import pytest

from pocketvae.export.convert.graphs import build_graph
from pocketvae.export.convert.tflite import convert_float32
from pocketvae.export.original.fronts import Layers
from pocketvae.keras.io import import_flavour
from pocketvae.keras.model_form import Flavour
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format
from pocketvae.vae_spec import Condition, Latent, Likelihood, VaeSpec

pytestmark = pytest.mark.slow


def built(flavour):
    """A decoder with a branch and a label that only its last layers take, and its graph."""
    keras = import_flavour(flavour)
    z, label = keras.Input((3,), name="z"), keras.Input((), dtype="int32", name="label")
    first = keras.layers.Dense(4, activation="relu", name="first")(z)
    branch = keras.layers.Dense(4, name="branch")(first)
    joined = keras.layers.Add(name="joined")([first, branch, keras.layers.Embedding(2, 4, name="table")(label)])
    image = keras.layers.Reshape((2, 2, 1))(keras.layers.Dense(4, activation="sigmoid", name="last")(joined))
    model = keras.Model([z, label], image)
    vae = VaeSpec(
        data_shape=(2, 2, 1),
        latents=(Latent(shape=(3,)),),
        likelihood=Likelihood.UNKNOWN,
        conditions=(Condition(name="label", count=2),),
    )
    return model, build_graph(Component.DECODER, model, vae)


@pytest.mark.parametrize("flavour", [Flavour.KERAS2, Flavour.KERAS3])
def test_each_front_returns_what_the_layers_after_it_read(flavour):
    model, graph = built(flavour)
    layers = Layers(graph)
    # Keras 3 numbers the layers of a second call; an addition of three is two, with the lookup of the third between.
    names = [name.split("'")[1].split("/")[-1].removesuffix("_1") for name in layers.names()]
    kept = [name for name in names if name in ("first", "branch", "joined", "last")]
    assert list(dict.fromkeys(kept)) == ["first", "branch", "joined", "last"], layers.names()
    z, label = np.ones((1, 3), np.float32), np.array([1], np.int32)
    count = names.index("first") + 1
    with open_runner(convert_float32(layers.front(count)), Format.TFLITE) as runner:
        found = runner.run_samples({name: {"z": z, "label": label}[name] for name in runner.inputs})
    kernel, bias = model.get_layer("first").get_weights()
    expected = np.maximum(z @ kernel + bias, 0)
    assert any(np.allclose(values, expected, atol=1e-6) for values in found.values() if values.shape == (1, 4))
    with open_runner(convert_float32(layers.front(len(names))), Format.TFLITE) as runner:
        found = runner.run_samples({"z": z, "label": label})
    assert any(np.allclose(values, model([z, label]), atol=1e-6) for values in found.values())
