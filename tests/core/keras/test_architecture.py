"""Rewriting of architectures: what is custom becomes a hole or stays visible, and nothing else changes its meaning."""

import pytest

from pocketvae.keras.architecture import rewritten
from pocketvae.keras.custom_code import custom_parts
from pocketvae.keras.model_form import Flavour


def layer(class_name, name, sources=(), **config):
    nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
    return {"class_name": class_name, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def graph(*layers, outputs=("last",), class_name="Functional", **rest):
    config = {
        "name": "model",
        "layers": list(layers),
        "input_layers": [["x", 0, 0]],
        "output_layers": [[name, 0, 0] for name in outputs],
    }
    return {"class_name": class_name, "config": config, **rest}


X = layer("InputLayer", "x", batch_input_shape=[None, 4], dtype="float32")


@pytest.mark.parametrize("flavour", [Flavour.KERAS2, Flavour.KERAS3])
def test_custom_layers_become_holes_wherever_they_are(flavour):
    inner = graph(X, layer("Lambda", "sampling", ["x"], function=["code", None, None]))
    config = graph(X, layer("Sampling", "draw", ["x"], secret=1), {**inner, "name": "inner", "inbound_nodes": []})
    made = rewritten(config, flavour)
    assert made.unknown == ()
    assert [(hole.class_name, hole.name) for hole in made.holes] == [("Sampling", "draw"), ("Lambda", "sampling")]
    tokens = {hole.token for hole in made.holes}
    assert set(custom_parts(made.config)) == tokens
    assert "secret" not in str(made.config)
    assert "code" not in str(made.config)
    # No file can name one.
    assert tokens.isdisjoint({hole.token for hole in rewritten(config, flavour).holes})


def test_an_activation_that_is_custom_makes_its_layer_a_hole():
    custom = {"class_name": "function", "config": "mine", "registered_name": "mine", "module": "builtins"}
    made = rewritten(graph(X, layer("Dense", "last", ["x"], activation=custom)), Flavour.KERAS3)
    assert [hole.name for hole in made.holes] == ["last"]


def test_custom_parts_that_only_train_are_left_out():
    custom = {"class_name": "Mine", "config": {}, "registered_name": "Mine"}
    dense = layer("Dense", "last", ["x"], kernel_initializer=custom, kernel_regularizer=custom, bias_constraint=custom)
    made = rewritten(graph(X, dense), Flavour.KERAS3)
    assert made.holes == made.unknown == ()
    config = made.config["config"]["layers"][1]["config"]
    kept = {"name": "last", "kernel_initializer": "zeros", "kernel_regularizer": None, "bias_constraint": None}
    assert config == kept


def test_a_class_of_one_s_own_that_is_built_like_a_functional_model_is_one():
    made = rewritten(graph(X, class_name="VAE", registered_name="mine>VAE", module="mine"), Flavour.KERAS2)
    assert (made.config["class_name"], made.config["module"]) == ("Functional", "tf_keras.src.engine.functional")
    assert made.unknown == ()


def test_what_cannot_be_a_hole_needs_leave():
    made = rewritten(
        {"class_name": "VAE", "config": {"encoder": {"class_name": "Lambda", "config": {}}}}, Flavour.KERAS3
    )
    assert made.unknown == ("VAE", "Lambda")
    smuggled = layer("Dense", "last", ["x"])
    smuggled["inbound_nodes"] = [{"args": [], "kwargs": {"f": {"class_name": "__lambda__", "config": {}}}}]
    assert rewritten(graph(X, smuggled), Flavour.KERAS3).unknown == ("Lambda",)


def test_types_and_batch_sizes():
    policy = {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}, "module": "keras"}
    quantized = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}
    pixels = layer("InputLayer", "x", batch_shape=[16, 8, 8, 1], dtype="uint8")
    label = layer("InputLayer", "label", batch_shape=[16], dtype="int32")
    made = rewritten(
        graph(pixels, label, layer("Dense", "a", dtype=policy), layer("Dense", "b", dtype=quantized)), Flavour.KERAS3
    )
    assert (made.dtypes, made.quantized) == (("mixed_float16", "uint8"), ("int8",))
    assert made.batch == 16
    x, y, a, b = (item["config"] for item in made.config["config"]["layers"])
    assert (x["batch_shape"], x["dtype"]) == ([None, 8, 8, 1], "float32")
    assert (y["batch_shape"], y["dtype"]) == ([None], "int32")
    assert a["dtype"] == b["dtype"] == "float32"
