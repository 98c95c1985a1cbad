"""Layers of Keras 3 keep the user's own names in traced graphs."""

import pytest

from pocketvae.keras.io import import_flavour, import_tensorflow
from pocketvae.keras.model_form import Flavour

pytestmark = pytest.mark.slow


def operators(function, *shape):
    tf = import_tensorflow()
    graph = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape)).graph
    return {item.name: item.type for item in graph.get_operations()}


def test_a_layer_has_the_name_that_it_was_given():
    keras = import_flavour(Flavour.KERAS3)
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="dense_1")], name="inner")
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(2, name="dense_2")(inner(x)), name="outer")
    found = operators(lambda values: model(values, training=False), 1, 3)
    products = {name for name, kind in found.items() if kind == "MatMul"}
    assert products == {"outer/inner/dense_1/MatMul", "outer/dense_2/MatMul"}


def test_a_layer_that_is_called_twice_has_two_operators_of_one_layer():
    keras = import_flavour(Flavour.KERAS3)
    dense = keras.layers.Dense(3, name="dense_1", activation="relu")
    x = keras.Input((3,))
    model = keras.Model(x, dense(dense(x)), name="twice")
    found = operators(lambda values: model(values, training=False), 1, 3)
    assert {name for name, kind in found.items() if kind == "MatMul"} == {
        "twice/dense_1/MatMul",
        "twice/dense_1/MatMul_1",
    }
